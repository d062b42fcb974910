import io
import json

import pytest

from conveyor.cli.progress import Progress
from conveyor.pipeline.runners.local import StageReport


def test_prints_stages_metrics_and_verdicts(fakes, call):
    code, out, _ = call("run", "digits_cnn")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["example_gen", "cached"] in lines
    assert ["trainer", "2.2", "s"] in lines or ["trainer", "2.3", "s"] in lines
    assert ["accuracy", "0.9900", "[0.9800,", "0.9950]"] in lines
    assert ["average_precision/[red]", "0.5000"] in lines
    assert ["quarantined:", "3"] in lines
    assert ["anomalies:", "1"] in lines
    assert ["blessed:", "yes"] in lines
    assert ["pushed:", "–"] in lines
    assert ["model", "card:", "/w/card.html"] in lines


def test_tells_how_far_it_is(fakes, call):
    _, _, err = call("run", "gate")
    lines = [line for line in err.splitlines() if "noise" not in line]
    assert lines[:8] == [
        "example_gen …",
        "example_gen: cached",
        "trainer …",
        f"trainer: {2.25:.1f} s",
        "trainer …",
        "trainer: failed",
        "pusher …",
        "pusher: blocked",
    ]
    assert lines[8] == "conveyor: not blessed: accuracy [low]"


def test_json_is_the_summary(fakes, call_json):
    code, summary = call_json("run", "digits_cnn")
    assert code == 0
    assert list(summary)[:4] == ["run", "config", "stages", "metrics"]
    assert summary["metrics"]["accuracy"] == {"value": 0.99, "low": 0.98, "high": 0.995}


def test_a_gate_still_prints_the_tables(fakes, call):
    code, out, _ = call("run", "gate")
    assert code == 3
    assert "accuracy" in out
    assert "blocked" in out


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"overrides": [], "workspace": "workspace", "until": None, "start": None}),
        (["-o", "a=1", "--until", "trainer"], {"overrides": ["a=1"], "until": "trainer"}),
        (["--from", "trainer", "--workspace", "w"], {"start": "trainer", "workspace": "w"}),
    ],
)
def test_passes_its_arguments_on(fakes, call_json, monkeypatch, words, asked):
    monkeypatch.delenv("CONVEYOR_WORKSPACE", raising=False)
    _, summary = call_json("run", "digits_cnn", *words)
    assert {**summary["asked"], **asked} == summary["asked"]


@pytest.mark.parametrize(
    ("value", "workspace"), [("/from/environment", "/from/environment"), ("", "workspace")]
)
def test_the_environment_names_the_workspace(fakes, call_json, monkeypatch, value, workspace):
    monkeypatch.setenv("CONVEYOR_WORKSPACE", value)
    assert call_json("run", "digits_cnn")[1]["asked"]["workspace"] == workspace


def test_a_bug_is_told_with_its_traceback(fakes, call):
    code, _, err = call("run", "bug")
    assert code == 1
    assert "  of the stage" in err
    assert err.rstrip().endswith("where:    stage trainer")


def test_progress_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress() as progress:
        progress("trainer", None)
        progress("trainer", StageReport("trainer", "done", True))
    assert "trainer: cached" in terminal.getvalue()


def test_configs(fakes, call, call_json, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_CONFIGS", str(tmp_path))
    (tmp_path / "one.yaml").write_text("# Digits [CNN].\n# 1 minute.\ndata: {}\n# not this\n")
    (tmp_path / "two.yaml").write_text("data: {}\n")
    code, configs = call_json("configs")
    assert code == 0
    assert configs[0] == {
        "name": "one",
        "description": "Digits [CNN].\n1 minute.",
        "path": f"{tmp_path}/one.yaml",
    }
    assert (configs[1]["name"], configs[1]["description"]) == ("two", "")
    out = call("configs")[1]
    assert "Digits [CNN]." in out
    assert "not this" not in out


@pytest.mark.parametrize("words", [["schema"], ["schema", "--json"]])
def test_schema_is_always_json(fakes, call, words):
    import sys

    from conveyor.pipeline.config import Settings

    class Experiment(Settings):
        """All of it."""

        seed: int = 0

    sys.modules["conveyor.components.experiment"].Experiment = Experiment
    code, out, _ = call(*words)
    assert code == 0
    assert json.loads(out)["properties"]["seed"]["default"] == 0
