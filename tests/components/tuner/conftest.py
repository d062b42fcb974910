import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).with_name("toys")))

import toy_run

import conveyor.components.experiment
import conveyor.components.tuner.trials
import conveyor.pipeline.runners.local


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """Puts toy stages in place of the real ones; returns the root of an empty workspace."""
    monkeypatch.setattr(conveyor.components.experiment, "build_pipeline", toy_run.build_pipeline)
    monkeypatch.setattr(conveyor.components.tuner.trials, "build_pipeline", toy_run.build_pipeline)
    # the toys' code does not change, and reading all that they import takes longer than they do
    monkeypatch.setattr(conveyor.pipeline.runners.local, "code_digest", lambda stage: stage.reference)
    return tmp_path / "workspace"
