import numpy as np

from conveyor.models.metrics import bootstrap
from conveyor.models.metrics.weighted import evaluate, measure, resampled

VALUES = np.array([1.0, 2.0, 6.0])


def mean(weights):
    """The mean, and the mean of those above 5: undefined in resamples without the last one."""
    with np.errstate(invalid="ignore"):
        large = np.where(weights[:, 2], 6.0, np.nan)
    return {"mean": weights @ VALUES / weights.sum(axis=1), "large": large, "never": large * np.nan}


def test_values_on_all_examples():
    assert measure(mean, 3) == {"mean": 3.0, "large": 6.0, "never": None}


def test_values_on_resamples_and_their_intervals(monkeypatch):
    monkeypatch.setattr(bootstrap, "_BLOCK", 30)
    drawn_values = resampled(mean, 3, 100, 7)
    np.testing.assert_array_equal(
        drawn_values["mean"], np.concatenate(list(bootstrap.resamples(3, 100, 7))) @ VALUES / 3
    )
    found = evaluate(mean, 3, 100, 7)
    low, high = bootstrap.interval(drawn_values["mean"])
    assert found["mean"] == {"value": 3.0, "low": low, "high": high}
    assert found["large"] == {"value": 6.0, "low": 6.0, "high": 6.0}
    assert found["never"] == {"value": None, "low": None, "high": None}


def test_no_resamples_no_intervals():
    assert resampled(mean, 3, 0, 0) == {}
    assert evaluate(mean, 3, 0, 0)["mean"] == {"value": 3.0, "low": None, "high": None}
