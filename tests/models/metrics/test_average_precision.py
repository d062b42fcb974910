import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import sklearn.metrics

from conveyor.models.metrics.classification import Ranking

LEVELS = [0.0, 1e-30, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0]  # few, so that ties are many


@st.composite
def rankings(draw, least_positives=0, dtype=None):
    """Scores and which of them are positives; ties, none or all positive, one example."""
    size = draw(st.integers(1, 30))
    levels = st.sampled_from(LEVELS) if draw(st.booleans()) else st.floats(0, 1, width=32)
    scores = np.array(draw(st.lists(levels, min_size=size, max_size=size)))
    positive = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    positive[:least_positives] = True
    return scores.astype(dtype or draw(st.sampled_from([np.float32, np.float64]))), positive


def average_precision(scores, positive, weights=None):
    weights = np.ones(len(scores), np.int32) if weights is None else np.asarray(weights)
    return Ranking.of(scores, positive).average_precision(weights[None])[0]


def oracle(scores, positive, weights=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of no positives, and says 0
        return sklearn.metrics.average_precision_score(positive, scores, sample_weight=weights)


def test_golden_worked_by_hand():
    # rank:      1     2     3     4     5
    scores = [0.9, 0.8, 0.7, 0.6, 0.5]
    positive = [True, False, True, True, False]
    # recall grows by 1/3 at precisions 1/1, 2/3 and 3/4
    expected = (1 / 1 + 2 / 3 + 3 / 4) / 3
    assert average_precision(np.array(scores), np.array(positive)) == pytest.approx(expected, abs=1e-15)


def test_golden_with_ties_and_weights_worked_by_hand():
    scores = np.array([0.5, 0.9, 0.5, 0.5, 0.1])
    positive = np.array([True, False, True, False, True])
    # thresholds: 0.9 (0 of 1 right), 0.5 (2 of 4), 0.1 (3 of 5)
    assert average_precision(scores, positive) == pytest.approx(2 / 3 * 2 / 4 + 1 / 3 * 3 / 5, abs=1e-15)
    # as if drawn 2, 1, 0, 3, 1 times: 0 of 1, 2 of 6, 3 of 7
    weighted = average_precision(scores, positive, [2, 1, 0, 3, 1])
    assert weighted == pytest.approx(2 / 3 * 2 / 6 + 1 / 3 * 3 / 7, abs=1e-15)


@hypothesis.given(rankings(least_positives=1))
def test_equals_scikit_learn(case):
    scores, positive = case
    assert average_precision(scores, positive) == pytest.approx(oracle(scores, positive), abs=1e-12)


@hypothesis.given(rankings(), st.data())
def test_equals_scikit_learn_under_weights(case, data):
    scores, positive = case
    counts = st.lists(st.integers(0, 3), min_size=len(scores), max_size=len(scores))
    weights = np.array(data.draw(counts))
    found = average_precision(scores, positive, weights)
    if weights[positive].sum() == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(oracle(scores, positive, weights), abs=1e-12)


@hypothesis.given(rankings(), st.data())
def test_weights_are_repetitions(case, data):
    scores, positive = case
    counts = st.lists(st.integers(0, 4), min_size=len(scores), max_size=len(scores))
    weights = np.array(data.draw(counts))
    hypothesis.assume(weights[positive].sum() > 0)
    repeated = average_precision(np.repeat(scores, weights), np.repeat(positive, weights))
    assert average_precision(scores, positive, weights) == pytest.approx(repeated, abs=1e-12)


@hypothesis.given(rankings(), st.data())
def test_many_weightings_at_once_equal_one_at_a_time(case, data):
    scores, positive = case
    row = st.lists(st.integers(0, 3), min_size=len(scores), max_size=len(scores))
    weights = np.array(data.draw(st.lists(row, min_size=1, max_size=4)), np.int32)
    together = Ranking.of(scores, positive).average_precision(weights)
    apart = [average_precision(scores, positive, row) for row in weights]
    np.testing.assert_allclose(together, apart, rtol=0, atol=1e-12)


@hypothesis.given(rankings(least_positives=1), st.randoms(use_true_random=False))
def test_order_of_examples_does_not_matter(case, random):
    scores, positive = case
    order = random.sample(range(len(scores)), len(scores))
    shuffled = average_precision(scores[order], positive[order])
    assert shuffled == pytest.approx(average_precision(scores, positive), abs=1e-12)


@hypothesis.given(rankings(least_positives=1))
def test_only_the_order_of_scores_matters(case):
    scores, positive = case
    ranks = np.searchsorted(np.unique(scores), scores)  # equal stays equal, larger stays larger
    for rescaled in (ranks, -1.0 / (1 + ranks), np.exp2(ranks), ranks - 100.0):
        assert average_precision(rescaled, positive) == average_precision(scores, positive)


@hypothesis.given(rankings(least_positives=1), st.integers(2, 4))
def test_the_same_data_again_changes_nothing(case, times):
    scores, positive = case
    repeated = average_precision(np.tile(scores, times), np.tile(positive, times))
    assert repeated == pytest.approx(average_precision(scores, positive), abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "positive", "expected"),
    [
        ([0.9, 0.8, 0.3, 0.2], [1, 1, 0, 0], 1.0),
        ([0.1, 0.5, 0.4], [1, 1, 1], 1.0),
        ([0.7], [1], 1.0),
        ([0.3, 0.3, 0.3, 0.3], [1, 0, 0, 0], 0.25),  # a model that tells nothing apart gets the share
        ([0.9, 0.8, 0.7, 0.1], [0, 0, 0, 1], 0.25),
        ([0.7], [0], np.nan),
        ([0.3, 0.9], [0, 0], np.nan),
    ],
)
def test_extremes(scores, positive, expected):
    found = average_precision(np.array(scores), np.array(positive, bool))
    np.testing.assert_equal(found, expected)
