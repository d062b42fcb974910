import numpy as np
import pytest
import scipy.stats

from conveyor.models.metrics.episodes import episode_accuracy, episode_interval


def test_worked_by_hand():
    """0.6, 0.8, 0.8, 1.0: mean 0.8; deviations -0.2, 0, 0, 0.2; variance 0.08 / 3 = 0.02667, so the standard
    error is sqrt(0.02667 / 4) = 0.08165. Student's quantile of 3 degrees is 3.18245: 0.25985."""
    values = np.array([0.6, 0.8, 0.8, 1.0])
    mean, half = episode_accuracy(values)
    assert mean == pytest.approx(0.8)
    assert half == pytest.approx(3.18245 * 0.08165, abs=1e-5)
    assert episode_interval(values) == pytest.approx((0.8 - 0.25985, 1.0), abs=1e-4)


def test_equals_scipy():
    values = np.random.default_rng(0).binomial(75, 0.7, 600) / 75
    mean, half = episode_accuracy(values)
    low, high = scipy.stats.t.interval(0.95, 599, values.mean(), scipy.stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=1e-12)
    assert episode_interval(values) == pytest.approx((low, high), abs=1e-12)


def test_one_episode_has_no_interval():
    assert episode_accuracy(np.array([0.4])) == (0.4, None)
    assert episode_interval(np.array([0.4])) == (None, None)


@pytest.mark.parametrize("values", [[], [0.5, np.nan], [1.5, 0.2], [[0.5]]])
def test_what_is_no_accuracy_is_refused(values):
    with pytest.raises(ValueError, match="one an episode"):
        episode_accuracy(np.array(values))


def test_it_covers_the_truth_as_often_as_it_says():
    random, tries = np.random.default_rng(1), 2000
    difficulty = random.normal(0.7, 0.1, (tries, 30)).clip(0, 1)
    accuracies = random.binomial(25, difficulty) / 25
    covered = sum(low <= 0.7 <= high for low, high in map(episode_interval, accuracies))
    assert 0.93 <= covered / tries <= 0.97
