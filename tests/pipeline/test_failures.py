import errno
import pathlib
import sqlite3
import textwrap

import pytest
from toy_stages import Card, Data, Fitted, Page, outcome, toy_pipeline

from conveyor.pipeline import workspace as workspace_module
from conveyor.pipeline.config import Settings
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.errors import StageError, UserError
from conveyor.pipeline.runners import local
from conveyor.pipeline.stage import Context, Out, stage

LIGHT = ("load", "card")  # a pipeline that needs no further process
ALL = ("load", "fit", "report", "card")


def left_in_staging(workspace):
    return list((workspace.root / "staging").iterdir())


@pytest.mark.parametrize("stage", ["load", "fit"])
def test_error_of_the_user(run, control, workspace, published, stage):
    control.do(stage, "output.write('x'); raise UserError('what', expected='e', where='here', fix='mend')")
    result = run(toy_pipeline(control, ALL))
    after = {"load": "done", "fit": "failed", "report": "blocked", "card": "blocked"}
    assert outcome(result) == (
        after if stage == "fit" else {**dict.fromkeys(ALL, "blocked"), "load": "failed"}
    )
    assert isinstance(result.error, UserError)
    assert (result.error.what, result.error.expected) == ("what", "e")
    assert (result.error.where, result.error.fix) == ("here", "mend")
    assert result.traceback == ""
    assert result.summary["error"]["exit_code"] == 2
    assert published() == (["Data"] if stage == "fit" else [])
    assert left_in_staging(workspace) == []


@pytest.mark.parametrize("stage", ["load", "fit"])
def test_bug(run, control, workspace, published, stage):
    control.do(stage, "output.write('x')\nraise ValueError('of no use')")
    result = run(toy_pipeline(control))
    assert isinstance(result.error, StageError)
    assert result.error.what == "ValueError: of no use"
    assert result.error.where == f"stage toy_stages:{stage}"
    assert result.traceback.startswith("Traceback")
    assert f'{stage}.py", line 2' in result.traceback
    assert published() == (["Data"] if stage == "fit" else [])
    assert left_in_staging(workspace) == []


def test_failure_is_recorded_and_tried_again(run, control, workspace):
    control.do("load", "raise UserError('what', where='caf\\udce9.png')")
    run(toy_pipeline(control, LIGHT))
    control.undo("load")
    assert outcome(run(toy_pipeline(control, LIGHT))) == {"load": "done", "card": "done"}
    db = sqlite3.connect(workspace.store.path)
    rows = db.execute("SELECT stage, status, error FROM executions ORDER BY id").fetchall()
    db.close()
    assert rows == [
        ("load", "failed", "what\n  where:    caf\\udce9.png"),
        ("load", "done", None),
        ("card", "done", None),
    ]


def test_scratch_outlives_a_failure(run, control, workspace):
    code = """
    kept = context.scratch / "checkpoint"
    if not kept.exists():
        kept.write_text("half way")
        raise UserError("interrupted")
    output.properties["resumed"] = kept.read_text()
    """
    control.do("load", textwrap.dedent(code))
    run(toy_pipeline(control, ("load",)))
    result = run(toy_pipeline(control, ("load",)))
    assert result.outputs["load"]["data"].properties == {"resumed": "half way"}
    assert list((workspace.root / "scratch").iterdir()) == []


def test_scratch_is_not_shared_by_different_executions(run, control):
    control.do("load", "(context.scratch / 'seen').touch(exist_ok=False); raise UserError('stop')")
    assert run(toy_pipeline(control, ("load",), load="1")).error.what == "stop"
    assert run(toy_pipeline(control, ("load",), load="2")).error.what == "stop"


def full(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device", "/the/disk")


@pytest.mark.parametrize(
    "place",
    ["stage", "seal", "rename", "scratch"],
)
def test_full_disk_is_for_the_user_and_publishes_nothing(
    run, control, workspace, published, place, monkeypatch
):
    if place == "stage":
        control.do("load", "output.write('x'); raise OSError(28, 'No space left on device', '/the/disk')")
    elif place == "seal":
        monkeypatch.setattr(local, "seal", full)
    elif place == "rename":
        monkeypatch.setattr(workspace_module.os, "rename", full)
    else:
        monkeypatch.setattr(pathlib.Path, "mkdir", deny_scratch)
    result = run(toy_pipeline(control, LIGHT))
    assert outcome(result) == {"load": "failed", "card": "blocked"}
    assert isinstance(result.error, UserError)
    assert (result.error.what, result.error.where) == ("No space left on device", "/the/disk")
    assert "free some space" in result.error.fix
    assert published() == []
    assert left_in_staging(workspace) == []
    monkeypatch.undo()
    if place == "stage":
        control.undo("load")
    assert outcome(run(toy_pipeline(control, LIGHT))) == {"load": "done", "card": "done"}


def deny_scratch(path, *args, real=pathlib.Path.mkdir, **options):
    if path.parent.name == "scratch":
        full()
    real(path, *args, **options)


def test_full_disk_of_the_store_hides_no_error(run, control, workspace, monkeypatch):
    # the failure of recording a failure must not replace it
    def connect(*args, real=sqlite3.connect, **options):
        if control.log:
            raise sqlite3.OperationalError("database or disk is full")
        return real(*args, **options)

    control.do("load", "raise UserError('the first error')")
    monkeypatch.setattr(sqlite3, "connect", connect)
    monkeypatch.setattr(workspace.store, "finish_run", lambda *_: None)
    assert run(toy_pipeline(control, LIGHT)).error.what == "the first error"


def test_one_output_that_cannot_be_sealed_publishes_none(run, published, monkeypatch):
    @stage
    def two(data: Out[Data], page: Out[Page], settings: Settings, context: Context) -> None:
        page.properties["broken"] = True

    def seal(artifact, producer, real=local.seal):
        if artifact.properties:
            full()
        return real(artifact, producer)

    globals().update(two=two)
    monkeypatch.setattr(local, "seal", seal)
    assert outcome(run(Pipeline([Node(two)]))) == {"two": "failed"}
    assert published() == []


def test_two_outputs_of_the_same_content(run, control):
    @stage
    def twins(one: Out[Data], two: Out[Data], settings: Settings, context: Context) -> None:
        one.write("same")
        two.write("same")

    globals().update(twins=twins)
    result = run(Pipeline([Node(twins)]))
    assert result.outputs["twins"]["one"] == result.outputs["twins"]["two"]
    assert outcome(run(Pipeline([Node(twins)]))) == {"twins": "cached"}


def test_interrupt_ends_the_run_at_once(run, control, workspace, published):
    control.do("load", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        run(toy_pipeline(control))
    assert published() == []
    assert left_in_staging(workspace) == []
    assert workspace.store.runs()[0]["summary"] is None


def test_types_of_outputs(run, control):
    result = run(toy_pipeline(control, ALL))
    assert [type(a) for made in result.outputs.values() for a in made.values()] == [Data, Fitted, Page, Card]
