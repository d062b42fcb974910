import json
import pathlib
import runpy
import subprocess
import sys
import types

import pytest

import conveyor.components
from conveyor.cli.app import main
from conveyor.pipeline.artifacts import Artifact, seal
from conveyor.pipeline.workspace import Workspace

FAKES = pathlib.Path(__file__).with_name("fakes.py")


class Examples(Artifact):
    pass


class Model(Artifact):
    pass


class ModelCard(Artifact):
    pass


@pytest.fixture
def fakes(monkeypatch):
    """Replaces what the commands call."""
    content = runpy.run_path(str(FAKES))
    made = content["modules"]()
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    experiment = made["conveyor.components.experiment"]
    monkeypatch.setattr(conveyor.components, "experiment", experiment, raising=False)
    return types.SimpleNamespace(**content)


@pytest.fixture
def call(capsys):
    """Runs the command line in this process; returns exit code, stdout, stderr."""

    def call(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def call_json(call):
    """Runs a command with --json; returns exit code and document."""

    def call_json(*words):
        code, out, _ = call(*words, "--json")
        return code, json.loads(out)

    return call_json


@pytest.fixture
def start():
    """Runs the command line, on top of fakes, in a process of its own."""

    def start(*words, **options):
        command = [sys.executable, str(FAKES), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)

    return start


def execute(space, run, stage, settings, inputs, kind, content):
    """Records an execution of one output; returns the published artifact."""
    staged = space.root / "staging" / f"{run}-{stage}"
    staged.mkdir()
    (staged / "content.txt").write_text(content)
    number = space.store.start_execution(f"key-{stage}-{content}", stage, run, settings)
    artifact = kind(staged)
    seal(artifact, {"stage": stage, "key": "key"})
    final = space.publish(artifact)
    path = final.relative_to(space.root).as_posix()
    outputs = {kind.type_name().lower(): (artifact.digest, kind.type_name(), path)}
    space.store.finish_execution(number, 1.5, inputs, outputs, [])
    return kind.load(final)


def record_run(space, epochs, accuracy, cached):
    """Records a run of three stages; returns its name and artifacts."""
    run = space.new_run("digits_cnn", {"trainer": {"epochs": epochs, "note": "[red]x[/red]"}, "seed": 0})
    if cached:
        examples = space.store.find_artifacts("")[0]
        examples = Examples.load(space.root / examples["path"])
    else:
        examples = execute(space, run, "example_gen", {"source": "digits"}, {}, Examples, "images")
    fit = {"fit": {"epochs": epochs, "note": "[red]x[/red]"}, "seed": 0}
    model = execute(space, run, "trainer", fit, {"examples": examples.digest}, Model, f"weights {epochs}")
    made = {"examples": examples.digest, "model": model.digest}
    card = execute(space, run, "model_card", {}, made, ModelCard, f"card {epochs}")
    interval = {"value": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.01}
    stages = [("example_gen", cached), ("trainer", False), ("model_card", False)]
    summary = {
        "run": run,
        "config": "digits_cnn",
        "stages": [{"name": n, "status": "done", "cached": c, "seconds": 1.5} for n, c in stages],
        "metrics": {"accuracy": interval, "average_precision/one": interval},
        "quarantined": 0,
        "anomalies": 0,
        "blessed": accuracy > 0.9,
        "pushed": None,
        "model_card": str(card.path / "model_card.html"),
    }
    if accuracy <= 0.9:
        fields = {"kind": "GateError", "what": "not blessed", "exit_code": 3}
        summary["error"] = fields
    space.finish_run(run, summary)
    return types.SimpleNamespace(name=run, examples=examples, model=model, card=card)


@pytest.fixture
def history(tmp_path):
    """A workspace with an older run, a newer one that a gate stopped, and one that was cut short."""
    space = Workspace(tmp_path / "space")
    older = record_run(space, 3, 0.95, cached=False)
    newer = record_run(space, 5, 0.85, cached=True)
    space.store.start_run("19990101-000000-cut-short", "cut", {"seed": 1})
    with space.store._transaction() as db:
        db.execute("UPDATE runs SET started = 0 WHERE config = 'cut'")
    return types.SimpleNamespace(root=space.root, store=space.store, older=older, newer=newer)
