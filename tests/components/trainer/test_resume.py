"""A training that was killed and goes on ends as one that never was."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from small_run import scratch, training

from conveyor.components.trainer.execution import Execution
from conveyor.components.trainer.fit import fit
from conveyor.pipeline.stage import Context

SCRIPT = pathlib.Path(__file__).parent / "toys" / "train_once.py"
STEPS = 3 * 5  # of the script's training


class Killed(BaseException):
    pass


def killed(monkeypatch, steps, run, settings, place):
    """Trains until so many steps are done, or a few more."""
    call = Execution.__call__

    def until(self, iterator):
        if self.done >= steps:
            raise Killed
        return call(self, iterator)

    with monkeypatch.context() as patched:
        patched.setattr(Execution, "__call__", until)
        with pytest.raises(Killed):
            fit(run.examples, run.graph, settings, Context(scratch=place))


@pytest.mark.parametrize(
    "how",
    [
        {"checkpoint": {"every_steps": 2}, "ema": 0.9, "accumulate": 2, "name": "sgd", "validate_every": 2},
        {"cache": "off", "select": "last", "checkpoint": {"every_steps": 3}},
    ],
    ids=["within an epoch", "read from disk"],
)
def test_killed_training_goes_on_where_it_was(run, tmp_path, monkeypatch, how):
    settings = training({"family": "mlp", "units": [6], "dropout": 0.3}, **how)
    flip = [{"random_flip": {"mode": "horizontal"}}]
    settings = settings.model_copy(update={"augment": flip})
    whole = fit(run.examples, run.graph, settings, Context(scratch=scratch(tmp_path)))
    place = scratch(tmp_path)
    for stop in (4, 9):
        killed(monkeypatch, stop, run, settings, place)
    resumed = fit(run.examples, run.graph, settings, Context(scratch=place))
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    for one, other in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_steps_are_not_done_twice(run, tmp_path, monkeypatch):
    place = scratch(tmp_path)
    settings = training(checkpoint={"every_steps": 2})
    killed(monkeypatch, 7, run, settings, place)  # in the second epoch, after a checkpoint at 7 = 5 + 2
    ran = []
    call = Execution.__call__

    def count(self, iterator):
        before = self.done
        found = call(self, iterator)
        ran.append(self.done - before)
        return found

    monkeypatch.setattr(Execution, "__call__", count)
    fit(run.examples, run.graph, settings, Context(scratch=place))
    assert sum(ran) == STEPS - 7


def test_other_settings_start_anew(run, tmp_path, monkeypatch):
    place = scratch(tmp_path)
    killed(monkeypatch, 7, run, training(checkpoint={"every_steps": 2}), place)
    other = training(checkpoint={"every_steps": 2}, learning_rate=0.003)
    again = fit(run.examples, run.graph, other, Context(scratch=place))
    fresh = fit(run.examples, run.graph, other, Context(scratch=scratch(tmp_path)))
    assert again.history == fresh.history


@pytest.mark.slow
def test_killed_processes_end_with_the_same_artifact(run, tmp_path):
    """Dropout, normalisation, augmentation, averages, accumulation, two steps a call; three SIGKILLs."""
    stops = sorted(np.random.default_rng(0).choice(np.arange(1, STEPS), 3, replace=False).tolist())
    command = [sys.executable, SCRIPT, run.examples.path, run.graph.path, tmp_path / "out", *stops]
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
    whole, killed = done.stdout.split()
    assert whole == killed
    assert len(whole) == 32
