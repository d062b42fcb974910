import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.components.tuner.optimism import select


def judge(correct, resamples=60, seed=0):
    """Selects by the share of right answers, of bool [candidates, examples]."""
    return select(lambda one, rows: correct[one, rows].mean(), *correct.shape, resamples, seed)


def test_identical_coin_flips_are_worth_a_half():
    """Of 20 candidates that all guess, the best looks good; the corrected figure is the truth."""
    generator = np.random.default_rng(1)
    raw, corrected = [], []
    for trial in range(150):
        selection = judge(generator.random((20, 100)) < 0.5, seed=trial)
        raw.append(selection.scores[selection.winner])
        corrected.append(raw[-1] - selection.optimism)
    # the mean of the largest of 20 normal numbers is 1.867 standard deviations, each 0.05 here
    assert np.mean(raw) == pytest.approx(0.5 + 1.867 * 0.05, abs=0.01)
    error = np.std(corrected) / np.sqrt(len(corrected))
    assert np.mean(corrected) == pytest.approx(0.5, abs=3 * error)
    assert error < 0.004


def test_a_clear_winner_is_not_corrected():
    correct = np.random.default_rng(0).random((5, 400)) < np.array([[0.5], [0.5], [0.95], [0.5], [0.5]])
    selection = judge(correct)
    assert selection.winner == 2
    assert selection.optimism == 0.0


def test_different_candidates_are_corrected_downwards_and_not_too_far():
    """Where candidates do differ the figure may be too low, but is nearer to the truth than the raw one."""
    generator = np.random.default_rng(2)
    truth = np.linspace(0.7, 0.8, 11)
    raw, corrected = [], []
    for trial in range(100):
        selection = judge(generator.random((11, 150)) < truth[:, None], seed=trial)
        score = selection.scores[selection.winner]
        raw.append(score - truth[selection.winner])
        corrected.append(raw[-1] - selection.optimism)
    assert np.mean(raw) > 0.01
    assert abs(np.mean(corrected)) < np.mean(raw) / 2


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_bounds(candidates, examples, seed):
    correct = np.random.default_rng(seed).random((candidates, examples)) < 0.7
    selection = judge(correct, resamples=20, seed=seed)
    assert selection.scores[selection.winner] == correct.mean(axis=1).max()
    assert selection.optimism >= 0
    assert candidates > 1 or selection.optimism == 0
    assert all(0 <= low <= high <= 1 for low, high in selection.intervals)
    assert judge(correct, resamples=20, seed=seed).optimism == selection.optimism


def test_the_interval_is_that_of_a_share():
    """1.96 standard errors of 0.8 of 400."""
    selection = judge(np.arange(400)[None] < 320, resamples=2000)
    assert selection.intervals[0] == pytest.approx((0.8 - 0.0392, 0.8 + 0.0392), abs=0.006)


def test_of_equals_the_first_is_chosen():
    assert judge(np.ones((3, 10), bool)).winner == 0


def test_undefined_scores_never_win():
    def score(one, rows):
        return np.nan if one == 0 else (one + rows.mean() if one == 1 or 3 in rows else np.nan)

    selection = select(score, 3, 10, 50, 0)
    assert selection.winner == 2
    assert np.isfinite(selection.optimism)
