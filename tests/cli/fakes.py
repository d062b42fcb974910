"""Stands in for what the commands call; run as a script it is the command line on top of that.

A config's name says how a run of it ends.
"""

import logging
import os
import pathlib
import sys
import types

from conveyor.pipeline.errors import GateError, StageError, UserError
from conveyor.pipeline.runners.local import Result, StageReport

ERRORS = {
    "gate": GateError(
        "not blessed: accuracy [low]", where="stage evaluator", fix="train [bold]longer[/bold]"
    ),
    "input": UserError("no such folder", received="/a[b]/c"),
    "bug": StageError("ValueError: broken", where="stage trainer"),
}
STAGES = [StageReport("example_gen", "done", True), StageReport("trainer", "done", False, 2.25)]
LOST = [StageReport("trainer", "failed", False, 1.5), StageReport("pusher", "blocked")]
METRICS = {
    "accuracy": {"value": 0.99, "low": 0.98, "high": 0.995},
    "average_precision/[red]": {"value": 0.5, "low": None, "high": None},
}


def run(config, overrides=(), *, workspace, until, start, report):
    """Behaves like conveyor.components.experiment.run."""
    if config == "unknown":
        raise UserError("there is no config 'unknown'", fix="did you mean 'digits_cnn'?")
    if config == "crash":
        raise RuntimeError("crashed [here]")
    if config == "interrupt":
        raise KeyboardInterrupt
    if config == "full_disk":
        raise OSError(28, "No space left on device", "/some/file")
    error = ERRORS.get(config)
    stages = STAGES + LOST if error else STAGES
    logging.info("a step of a library")
    logging.warning("a warning of a library")
    for stage in stages:
        report(stage.name, None)
        print("noise of a library")
        if __name__ == "__main__":
            os.write(1, b"noise of native code\n")
        report(stage.name, stage)
    summary = {
        "run": "20250101-000000-x-aaaa",
        "config": config,
        "stages": [vars(stage) for stage in stages],
        "metrics": METRICS,
        "quarantined": 3,
        "anomalies": 1,
        "blessed": error is None,
        "pushed": None,
        "model_card": "/w/card.html",
        "asked": {"overrides": list(overrides), "workspace": workspace, "until": until, "start": start},
    }
    if error:
        summary["error"] = {**error.to_dict(), "exit_code": error.exit_code}
    trace = "Traceback (most recent call last):\n  of the stage" if config == "bug" else ""
    return Result(summary["run"], stages, {}, summary, error, trace)


def predict_files(model_dir, images, batch_size, token="", draw=None):
    """Behaves like conveyor.components.commands.predict.predict_files."""
    print("noise of a library")
    for image in images:
        if image == "broken.png":
            raise UserError("the image cannot be decoded", where=image)
        if image == "absent.png":
            yield {"image": image, "error": "cannot be read [x]"}
            continue
        yield {"image": image, "model": model_dir, "batch_size": batch_size, "scores": [0.25, float("nan")]}


def evaluate_model(model, config, overrides, workspace, split):
    """Behaves like conveyor.components.commands.evaluate.evaluate_model."""
    asked = [model, config, list(overrides), workspace, split]
    return {"split": split or "test", "examples": 360, "metrics": METRICS, "asked": asked}


def describe_model(config, overrides, workspace, draw):
    """Behaves like conveyor.components.commands.describe.describe_model."""
    return {
        "layers": [
            {"layer": f"conv [{config}]", "output": [None, 32, 32, 64], "parameters": 18496, "stride": 1},
            {"layer": "dense", "output": [None, 10], "parameters": 1290, "FLOPs": 2580, "stride": None},
        ],
        "totals": {
            "parameters": 19786,
            "flops": 2580,
            "shared": 18496,
            "dense": 123456,
            "uncounted": ["odd"],
        },
        "advice": ["A feature sees [18] px."],
        "asked": [list(overrides), workspace, draw],
    }


def shipped_configs():
    """Behaves like conveyor.components.experiment.shipped_configs."""
    folder = pathlib.Path(os.environ["FAKE_CONFIGS"])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


FAKES = {
    "conveyor.components.experiment": {"run": run, "shipped_configs": shipped_configs},
    "conveyor.components.commands.predict": {"predict_files": predict_files},
    "conveyor.components.commands.evaluate": {"evaluate_model": evaluate_model},
    "conveyor.components.commands.describe": {"describe_model": describe_model},
}


def modules():
    """Returns module name -> fake module."""
    made = {}
    for name, content in FAKES.items():
        made[name] = types.ModuleType(name)
        vars(made[name]).update(content)
    return made


if __name__ == "__main__":
    import conveyor.components
    from conveyor.__main__ import main

    sys.modules.update(modules())
    conveyor.components.experiment = sys.modules["conveyor.components.experiment"]
    main()
