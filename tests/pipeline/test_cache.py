import os
import pathlib
import shutil

import pytest
import toy_stages
from toy_stages import Data, outcome, toy_pipeline

from conveyor.pipeline.artifacts import is_complete
from conveyor.pipeline.config import Settings
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.errors import StageError
from conveyor.pipeline.fingerprint import fingerprint_files
from conveyor.pipeline.runners import local
from conveyor.pipeline.stage import Context, In, Out, stage

LIGHT = ("load", "card")  # a pipeline that needs no further process
ALL = ("load", "fit", "report", "card")


@pytest.fixture
def started(monkeypatch):
    """The modules of each warm process that is started."""
    started = []

    class Noted(local.WarmProcess):
        def __init__(self, modules):
            started.append(modules)
            super().__init__(modules)

    monkeypatch.setattr(local, "WarmProcess", Noted)
    return started


# === cache ===


def test_second_run_is_cached_and_starts_no_process(run, control, started):
    pipeline = toy_pipeline(control, ALL)
    first = run(pipeline)
    assert started == [("colorsys",)]
    second = run(pipeline)
    assert outcome(second) == dict.fromkeys(ALL, "cached")
    assert control.log == list(ALL)
    assert len(started) == 1
    assert second.outputs == first.outputs
    assert {k: v for k, v in second.summary.items() if k not in ("run", "stages")} == {"config": "toy"}


def test_second_run_imports_nothing_heavy(start_run):
    [first, _] = start_run().lines()
    [second, imported] = start_run().lines()
    assert set(first["stages"].values()) == {"done"}
    assert set(second["stages"].values()) == {"cached"}
    assert imported == {"heavy": False}


def test_second_run_of_renamed_stages_starts_no_process(run, control, started):
    settings = toy_stages.Toy(control=str(control.path))
    nodes = [Node(toy_stages.load, settings, "first"), Node(toy_stages.fit, settings, "second")]
    assert outcome(run(Pipeline(nodes))) == {"first": "done", "second": "done"}
    assert outcome(run(Pipeline(nodes))) == {"first": "cached", "second": "cached"}
    assert len(started) == 1


def test_light_pipeline_starts_no_process(run, control, started):
    run(toy_pipeline(control, LIGHT))
    assert started == []


def test_heavy_modules_are_imported_ahead_of_the_first_light_stage(run, control, started):
    control.do("load", "raise UserError('stop')")
    run(toy_pipeline(control))
    assert started == [("colorsys",)]


@pytest.mark.parametrize(
    ("changed", "executed"),
    [
        ("load", ["load", "fit", "report", "card"]),
        ("fit", ["fit", "report", "card"]),
        ("report", ["report", "card"]),
    ],
)
def test_changed_setting_runs_that_stage_and_those_downstream(run, control, changed, executed):
    run(toy_pipeline(control, ALL))
    before = len(control.log)
    result = run(toy_pipeline(control, ALL, **{changed: "new"}))
    assert control.log[before:] == executed
    assert outcome(result) == {name: "done" if name in executed else "cached" for name in ALL}
    # and back: what was made before is still there
    assert set(outcome(run(toy_pipeline(control, ALL))).values()) == {"cached"}


def test_early_cut_off(run, control):
    # re-run to the same content, so what depends on it has nothing new to read
    run(toy_pipeline(control, LIGHT))
    control.do("load", "output.properties['odd'] = 1")
    run(toy_pipeline(control, LIGHT), start="load")
    control.undo("load")
    result = run(toy_pipeline(control, LIGHT, card="new"))
    assert outcome(result) == {"load": "cached", "card": "done"}  # of the newest execution
    shutil.rmtree(result.outputs["load"]["data"].path)
    assert outcome(run(toy_pipeline(control, LIGHT))) == {"load": "done", "card": "cached"}


def damage(how, path):
    if how == "deleted":
        shutil.rmtree(path)
    elif how == "file deleted":
        (path / "text.txt").unlink()
    elif how == "truncated":
        os.truncate(path / "text.txt", 2)
    else:
        (path / "artifact.json").write_text("{")


@pytest.mark.parametrize("how", ["deleted", "file deleted", "truncated", "manifest"])
def test_damaged_artifact_is_made_again(run, control, how):
    first = run(toy_pipeline(control, LIGHT))
    path = first.outputs["load"]["data"].path
    damage(how, path)
    second = run(toy_pipeline(control, LIGHT))
    assert outcome(second) == {"load": "done", "card": "cached"}
    assert second.outputs == first.outputs
    assert is_complete(path)


def test_stage_without_outputs_is_cached(run, control):
    @stage
    def notify(data: In[Data], settings: toy_stages.Toy, context: Context) -> None:
        toy_stages.perform("notify", settings, context, None)

    globals().update(notify=notify)
    settings = toy_stages.Toy(control=str(control.path))
    pipeline = Pipeline([Node(toy_stages.load, settings), Node(notify, settings)])
    assert outcome(run(pipeline))["notify"] == "done"
    assert outcome(run(pipeline))["notify"] == "cached"
    assert control.log == ["load", "notify"]


def test_same_stage_twice_with_the_same_settings_runs_once(run, control):
    settings = toy_stages.Toy(control=str(control.path))
    result = run(Pipeline([Node(toy_stages.load, settings, name) for name in ("one", "two")]))
    assert outcome(result) == {"one": "done", "two": "cached"}


def test_absent_and_present_optional_input_differ(run, control):
    run(toy_pipeline(control, LIGHT))
    assert outcome(run(toy_pipeline(control, ALL)))["card"] == "done"


# === files outside the workspace ===


class Images(Settings):
    folder: str


def look(settings, workspace):
    names = sorted(path.name for path in pathlib.Path(settings.folder).glob("*.png"))
    return fingerprint_files(settings.folder, names, workspace)


@stage(fingerprint=look)
def read_images(data: Out[Data], settings: Images, context: Context) -> None:
    data.write("".join(p.read_text() for p in sorted(pathlib.Path(settings.folder).glob("*.png"))))


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_text("a")
    (tmp_path / "images" / "b.png").write_text("b")
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda folder: os.utime(folder / "a.png"), "cached"),
        (lambda folder: os.utime(folder / "a.png", (1, 1)), "cached"),
        (lambda folder: (folder / "notes.txt").write_text("x"), "cached"),
        (lambda folder: (folder / "a.png").write_text("x"), "done"),
        (lambda folder: (folder / "c.png").write_text("c"), "done"),
        (lambda folder: (folder / "a.png").unlink(), "done"),
        (lambda folder: (folder / "a.png").rename(folder / "c.png"), "done"),
    ],
    ids=["touched", "made old", "unrelated file", "edited", "added", "deleted", "renamed"],
)
def test_change_of_files(run, images, change, status):
    pipeline = Pipeline([Node(read_images, Images(folder=str(images)))])
    run(pipeline)
    change(images)
    result = run(pipeline)
    assert outcome(result) == {"read_images": status}
    text = "".join(path.read_text() for path in sorted(images.glob("*.png")))
    assert status == "cached" or result.outputs["read_images"]["data"].read() == text


def test_effect_outside_the_workspace_that_is_gone(run, tmp_path):
    pushed = tmp_path / "pushed"

    @stage(still_holds=lambda settings, outputs: outputs["data"].read() == "x" and pushed.exists())
    def push(data: Out[Data], settings: Settings, context: Context) -> None:
        data.write("x")
        pushed.touch()

    globals().update(push=push)
    pipeline = Pipeline([Node(push)])
    assert outcome(run(pipeline)) == {"push": "done"}
    assert outcome(run(pipeline)) == {"push": "cached"}
    pushed.unlink()
    assert outcome(run(pipeline)) == {"push": "done"}
    assert pushed.exists()


@pytest.mark.parametrize("option", ["fingerprint", "still_holds", "baseline"])
def test_bug_in_what_a_stage_adds_to_the_engine(run, option):
    def broken(settings, *found):
        raise ZeroDivisionError("of the stage")

    @stage(**{option: broken})
    def push(data: Out[Data], settings: Settings, context: Context) -> None:
        pass

    globals().update(push=push)
    run(Pipeline([Node(push)]))
    result = run(Pipeline([Node(push)]))
    assert outcome(result) == {"push": "failed"}
    assert isinstance(result.error, StageError)
    assert "ZeroDivisionError: of the stage" in result.error.what
    assert "Traceback" in result.traceback


# === edits of source ===

FIRST = """
from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.config import Settings
from conveyor.pipeline.stage import Context, Out, stage

class A(Artifact):
    pass

@stage
def first(a: Out[A], settings: Settings, context: Context) -> None:
    (a.path / "text").write_text("first")
"""
SECOND = """
from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.config import Settings
from conveyor.pipeline.stage import Context, In, Out, stage
from first_stage import A

class B(Artifact):
    pass

@stage
def second(a: In[A], b: Out[B], settings: Settings, context: Context) -> None:
    (b.path / "text").write_text((a.path / "text").read_text() + " second")
"""
MAIN = """
import json, sys
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.runners.local import LocalRunner
from conveyor.pipeline.workspace import Workspace
import first_stage, second_stage
result = LocalRunner(Workspace(sys.argv[1])).run(
    Pipeline([Node(first_stage.first), Node(second_stage.second)]), "edits")
print(json.dumps([stage.cached for stage in result.stages]))
"""


def test_edit_of_source(start, tmp_path):
    modules = tmp_path / "modules"
    modules.mkdir()
    for name, text in {"first_stage": FIRST, "second_stage": SECOND, "main": MAIN}.items():
        (modules / f"{name}.py").write_text(text)

    def cached():
        return start(modules / "main.py", tmp_path / "space").lines()[0]

    assert cached() == [False, False]
    assert cached() == [True, True]
    (modules / "second_stage.py").write_text(SECOND.replace('" second"', '" 2nd"'))
    assert cached() == [True, False]
    (modules / "first_stage.py").write_text(FIRST.replace('"first"', '"1st"'))
    assert cached() == [False, False]
    (modules / "first_stage.py").write_text(FIRST.replace('"first"', '"1" + "st"'))
    assert cached() == [False, True]  # other source, same result
    (modules / "first_stage.py").write_text(FIRST)
    (modules / "second_stage.py").write_text(SECOND)
    assert cached() == [True, True]
