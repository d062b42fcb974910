"""Whatever the task: an example of weight 2 counts as two examples, one of weight 0 as none."""

import numpy as np
import pytest

from conveyor.models.tasks.settings import ClassificationSettings, ReconstructionSettings
from conveyor.models.tasks.task import make_task

N = 40


def classification(random):
    probabilities = random.dirichlet(np.ones(6), N).round(2)
    return ClassificationSettings(), {"targets": random.integers(0, 6, N), "probabilities": probabilities}


def reconstruction(random):
    columns = {name: random.random(N) for name in ("bce", "mse", "psnr", "ssim", "anomaly_score")}
    return ReconstructionSettings(kind="reconstruction"), {**columns, "is_anomaly": random.random(N) < 0.2}


@pytest.mark.parametrize("make", [classification, reconstruction])
def test_weights_are_repeats(make):
    random = np.random.default_rng(5)
    settings, records = make(random)
    task = make_task(settings, list("abcdef"))
    weights = random.integers(0, 4, (7, N)).astype(np.int32)
    found = task.weighted(records)(weights)
    for row, counts in enumerate(weights):
        repeated = {name: np.repeat(column, counts, axis=0) for name, column in records.items()}
        expected = task.measure(repeated)
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(np.nan if value is None else value, nan_ok=True)
