import json
import os
import pathlib

import pytest
from etils import epath

from conveyor.components.artifacts import Blessing, Evaluation, Examples, InfraBlessing
from conveyor.components.pusher.settings import PusherSettings
from conveyor.components.pusher.stage import pusher, still_pushed
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.execution import execute, make_spec

METRICS = {"accuracy": 0.9, "average_precision/été": None}


@pytest.fixture
def inputs(model, tmp_path):
    """Directories of the stage's inputs, by name."""
    blessing, proof = Blessing(tmp_path / "blessing"), InfraBlessing(tmp_path / "proof")
    evaluation, examples = Evaluation(tmp_path / "evaluation"), Examples(tmp_path / "examples")
    examples.path.mkdir()
    seal(examples, {})
    for artifact, document in (
        (blessing, {"blessed": True, "checks": []}),
        (evaluation, {"split": "test"}),
        (proof, {"blessed": True, "metrics": METRICS}),
    ):
        artifact.path.mkdir()
        artifact.write(document)
        seal(artifact, {})
    named = {"blessing": blessing, "evaluation": evaluation, "examples": examples, "infra_blessing": proof}
    return {"model": str(model.path), "formats": None, **{name: str(one.path) for name, one in named.items()}}


def run_stage(inputs, to, out):
    """Runs the stage as the engine does; returns what it answers and the document it wrote."""
    out.mkdir()
    context = {
        "run": "20250101-x",
        "workspace": str(out),
        "scratch": str(out),
        "lineage": [{"stage": "trainer", "outputs": {"model": "abc"}}],
    }
    result = execute(make_spec(pusher, {"to": str(to)}, inputs, {"pushed": str(out)}, context))
    written = out / "pushed.json"
    return result, json.loads(written.read_text("utf-8")) if written.exists() else None


def test_stage_pushes_and_says_where(inputs, model, tmp_path):
    to = tmp_path / "serving"
    result, document = run_stage(inputs, to, tmp_path / "out")
    assert document == {
        "destination": str(to / "1"),
        "version": 1,
        "model": model.digest,
        "removed": [],
        "against": None,
    }
    assert result["properties"] == {"pushed": {"summary": {"pushed": str(to / "1")}}}
    provenance = json.loads((to / "1" / "assets.extra" / "conveyor.json").read_text("utf-8"))
    assert provenance == {
        "model": model.digest,
        "run": "20250101-x",
        "blessing": {"blessed": True, "checks": []},
        "metrics": METRICS,
        "stages": {"trainer": {"model": "abc"}},
    }


def test_cached_result_holds_as_long_as_the_version_is_there(inputs, tmp_path):
    to = tmp_path / "serving"
    _, document = run_stage(inputs, to, tmp_path / "out")
    outputs = {"pushed": pusher.outputs["pushed"].type(tmp_path / "out")}
    assert still_pushed(PusherSettings(), outputs)
    os.rename(document["destination"], to / "2")
    assert not still_pushed(PusherSettings(), outputs)


def test_changed_model_is_a_failure_of_the_stage(inputs, model, tmp_path):
    (model.saved_model / "saved_model.pb").write_bytes(b"another")
    result, document = run_stage(inputs, tmp_path / "serving", tmp_path / "out")
    assert document is None
    assert "changed after it was judged" in result["error"]["what"]


def refuse(code):
    def mkdir(self, *_, **__):
        raise OSError(code, os.strerror(code), str(self))

    return mkdir


@pytest.mark.parametrize(
    ("code", "said"), [(13, "Permission denied"), (30, "Read-only file system"), (28, "No space left")]
)
def test_base_that_cannot_be_written_is_a_user_error(inputs, tmp_path, monkeypatch, code, said):
    monkeypatch.setattr(epath.Path(tmp_path).__class__, "mkdir", refuse(code))
    result, document = run_stage(inputs, tmp_path / "serving", tmp_path / "out")
    assert document is None
    assert result["error"]["kind"] == "UserError"
    assert said in result["error"]["what"]
    assert result["error"]["where"] == str(tmp_path / "serving")
    assert result["traceback"] == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_a_user_error(inputs, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    result, _ = run_stage(inputs, closed / "serving", tmp_path / "out")
    assert result["error"]["kind"] == "UserError"


def test_file_for_a_base_is_a_user_error(inputs, tmp_path):
    to = pathlib.Path(tmp_path / "note")
    to.write_text("a file")
    result, _ = run_stage(inputs, to, tmp_path / "out")
    assert (result["error"]["kind"], result["traceback"]) == ("UserError", "")
