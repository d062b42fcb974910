import json

import pydantic
import pytest
from toy_stages import Data, outcome, toy_pipeline

from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.config import Settings
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.errors import GateError, UserError
from conveyor.pipeline.runners.local import LocalRunner
from conveyor.pipeline.stage import Context, In, Out, stage

LIGHT = ("load", "card")  # a pipeline that needs no further process
ALL = ("load", "fit", "report", "card")


def left_in_staging(workspace):
    return list((workspace.root / "staging").iterdir())


def summary_of(workspace, result):
    return json.loads((workspace.root / "runs" / result.run / "summary.json").read_text())


# === a run ===


def test_run(run, control, workspace, published):
    reports = []
    runner = LocalRunner(workspace, lambda *report: reports.append(report))
    result = runner.run(toy_pipeline(control, ALL, load="1", fit="2"), "toy", settings={"seed": 3})
    assert result.error is None
    assert outcome(result) == dict.fromkeys(ALL, "done")
    assert control.log == list(ALL)
    assert result.outputs["card"]["card"].read() == "data 1; data 1, fitted 2, reported "
    assert published() == ["Card", "Data", "Fitted", "Page"]
    assert left_in_staging(workspace) == []
    assert list((workspace.root / "scratch").iterdir()) == []
    assert reports == [pair for stage in result.stages for pair in ((stage.name, None), (stage.name, stage))]


def test_summary(workspace, control):
    control.do(
        "load", "output.properties['summary'] = {'quarantined': 2, 'file': 'see {path}/a', 'classes': [1]}"
    )
    control.do("card", "output.properties['summary'] = {'classes': [2]}")
    result = LocalRunner(workspace).run(
        toy_pipeline(control, LIGHT), "toy", summary={"quarantined": 0, "pushed": None}
    )
    assert result.summary == summary_of(workspace, result) == workspace.store.runs()[0]["summary"]
    stages = result.summary.pop("stages")
    assert [(s["name"], s["status"], s["cached"]) for s in stages] == [
        ("load", "done", False),
        ("card", "done", False),
    ]
    assert result.summary == {
        "run": result.run,
        "config": "toy",
        "quarantined": 2,
        "pushed": None,
        "file": f"see {result.outputs['load']['data'].path}/a",
        "classes": [2],
    }


def test_stage_is_told_of_its_run(run, control, workspace):
    control.do("card", "output.properties['told'] = [context.run, context.lineage]")
    result = run(toy_pipeline(control, LIGHT, load="7"), settings={"seed": 3})
    name, lineage = result.outputs["card"]["card"].properties["told"]
    assert name == result.run
    assert workspace.store.runs()[0]["settings"] == {"seed": 3}
    assert [(step["stage"], step["settings"]["value"]) for step in lineage] == [("load", "7")]
    made = result.outputs["card"]["card"].digest
    assert [step["stage"] for step in workspace.store.lineage([made])] == ["card", "load"]


def test_looks_are_recorded_against_the_examples(run, workspace):
    class Examples(Artifact):
        pass

    class Verdict(Artifact):
        pass

    @stage
    def gen(examples: Out[Examples], settings: Settings, context: Context) -> None:
        pass

    @stage
    def judge(examples: In[Examples], verdict: Out[Verdict], settings: Settings, context: Context) -> None:
        context.look("test", "report")
        context.note("looked for a second")

    globals().update(gen=gen, judge=judge)  # stages are found by module and name
    result = run(Pipeline([Node(gen), Node(judge)]))
    assert [row.get("notes") for row in result.summary["stages"]] == [None, ("looked for a second",)]
    assert workspace.store.looks(result.outputs["gen"]["examples"].digest, "test", "report") == 1
    run(Pipeline([Node(gen), Node(judge)]))  # cached: nobody looked
    assert workspace.store.looks(result.outputs["gen"]["examples"].digest, "test", "report") == 1


def test_settings_with_other_names_in_files(run):
    class Renamed(Settings):
        schema_: int = pydantic.Field(1, alias="schema")

    @stage
    def renamed(data: Out[Data], settings: Renamed, context: Context) -> None:
        data.write(str(settings.schema_))

    globals().update(renamed=renamed)
    result = run(Pipeline([Node(renamed, Renamed(schema=5))]))
    assert result.error is None
    assert result.outputs["renamed"]["data"].read() == "5"


# === --until and --from ===


def test_until_stops(run, control):
    result = run(toy_pipeline(control, ALL), until="load")
    assert outcome(result) == {"load": "done"}
    assert control.log == ["load"]


def test_from_forces_that_stage_and_those_downstream(run, control):
    run(toy_pipeline(control, ALL))
    result = run(toy_pipeline(control, ALL), start="fit")
    assert outcome(result) == {"load": "cached", "fit": "done", "report": "done", "card": "done"}
    assert control.log == [*ALL, "fit", "report", "card"]


def test_from_and_until(run, control):
    run(toy_pipeline(control, ALL))
    result = run(toy_pipeline(control, ALL), start="fit", until="fit")
    assert outcome(result) == {"load": "cached", "fit": "done"}


def test_from_runs_what_it_needs(run, control):
    assert outcome(run(toy_pipeline(control, LIGHT), start="card")) == {"load": "done", "card": "done"}


@pytest.mark.parametrize("options", [{"until": "lod"}, {"start": "lod"}])
def test_unknown_stage_starts_no_run(run, control, workspace, options):
    with pytest.raises(UserError, match="did you mean 'load'"):
        run(toy_pipeline(control), **options)
    assert workspace.store.runs() == []


# === gates ===


def test_closed_gate_stops_the_run_also_when_cached(run, control, workspace):
    control.do("load", "output.close_gate('3 broken images', fix='remove them')")
    for status in ("done", "cached"):
        result = run(toy_pipeline(control, ALL))
        assert outcome(result) == {"load": status, "fit": "blocked", "report": "blocked", "card": status}
        assert isinstance(result.error, GateError)
        assert (result.error.exit_code, result.error.where) == (3, "stage load")
        assert result.summary["error"] == {
            "kind": "GateError",
            "what": "3 broken images",
            "expected": "",
            "received": "",
            "where": "stage load",
            "fix": "remove them",
            "exit_code": 3,
        }
        assert summary_of(workspace, result) == result.summary
        assert result.outputs["card"]["card"].read() == "data ; no page"
        assert result.traceback == ""
    assert control.log == ["load", "card"]


def test_first_gate_is_the_one_told(run, control):
    control.do("load", "output.close_gate('first')")
    control.do("card", "output.close_gate('second')")
    assert run(toy_pipeline(control, LIGHT)).error.what == "first"


def test_stage_after_a_gate_that_lacks_an_input_is_blocked(run, control):
    # not called with None where it has not said that it may be
    control.do("load", "raise GateError('no data at all')")
    result = run(toy_pipeline(control, LIGHT))
    assert outcome(result) == {"load": "failed", "card": "blocked"}
    assert result.error.exit_code == 3
    assert control.log == ["load"]


def test_bug_after_a_gate_does_not_hide_the_gate(run, control):
    control.do("load", "output.close_gate('closed')")
    control.do("card", "1 / 0")
    result = run(toy_pipeline(control, LIGHT))
    assert outcome(result) == {"load": "done", "card": "failed"}
    assert result.error.exit_code == 3
    assert "ZeroDivisionError" in result.traceback
