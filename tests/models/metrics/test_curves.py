import numpy as np
import pytest
import sklearn.metrics

from conveyor.models.metrics.bootstrap import resamples
from conveyor.models.metrics.curves import precision_recall_band, roc_band


def data(seed, size=300, decimals=7):
    random = np.random.default_rng(seed)
    scores = random.uniform(size=size).round(decimals)
    return scores, random.uniform(size=size) < scores


def test_precision_at_recalls_worked_by_hand():
    # right, wrong, a tie of right and wrong, right
    scores = np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    positive = np.array([1, 0, 1, 0, 1], bool)
    curve = precision_recall_band(scores, positive, [])
    assert curve["recall"] == pytest.approx([1 / 3, 2 / 3, 1])
    assert curve["precision"] == pytest.approx([1, 2 / 4, 3 / 5])
    assert curve["low"] == curve["high"] == []


@pytest.mark.parametrize("decimals", [1, 7])
def test_precision_equals_scikit_learn_where_a_recall_is_first_reached(decimals):
    scores, positive = data(1, decimals=decimals)
    precision, recall, _ = sklearn.metrics.precision_recall_curve(positive, scores)
    curve = precision_recall_band(scores, positive, [], points=1000)
    reached = np.unique(recall[recall > 0])
    np.testing.assert_allclose(curve["recall"], reached, atol=1e-12)
    # thresholds rise there: the last with a recall is the highest
    first = [precision[np.flatnonzero(recall == value)[-1]] for value in reached]
    np.testing.assert_allclose(curve["precision"], first, atol=1e-12)


def test_the_precision_of_a_resample_is_that_of_the_repeated_examples():
    scores, positive = data(2, size=40, decimals=1)
    for weights in next(resamples(40, 5, 0)):
        again = np.repeat(scores, weights), np.repeat(positive, weights)
        drawn = precision_recall_band(*again, [], points=1000)
        # the band of two equal resamples is around their values: its width tells them
        curve = precision_recall_band(scores, positive, [np.stack([weights, weights])], points=1000)
        for recall, value, low, high in zip(*curve.values(), strict=True):
            at = np.searchsorted(drawn["recall"], recall - 1e-9)
            other = drawn["precision"][at]
            assert low <= value <= high
            assert (high - low < 1e-9) == (abs(other - value) < 1e-9 and value not in (0, 1))


def test_roc_worked_by_hand():
    scores = np.array([0.9, 0.8, 0.5, 0.5, 0.1])
    positive = np.array([1, 0, 1, 0, 0], bool)
    curve = roc_band(scores, positive, [])
    # up to 1/2 at 0; 0.8 is wrong: 1/3; the tie goes straight to (2/3, 1)
    assert curve["false_positive_rate"] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert curve["true_positive_rate"] == pytest.approx([1 / 2, 1 / 2, 1, 1])


@pytest.mark.parametrize("decimals", [1, 7])
def test_roc_equals_scikit_learn(decimals):
    scores, positive = data(3, decimals=decimals)
    false, true, _ = sklearn.metrics.roc_curve(positive, scores, drop_intermediate=False)
    curve = roc_band(scores, positive, [], points=1000)
    at = np.searchsorted(false, np.array(curve["false_positive_rate"]) + 1e-9) - 1  # the highest there
    np.testing.assert_allclose(curve["true_positive_rate"], true[at], atol=1e-12)
    area = sklearn.metrics.auc(curve["false_positive_rate"], curve["true_positive_rate"])
    if decimals == 7:  # no ramps that start straight up
        assert area == pytest.approx(sklearn.metrics.roc_auc_score(positive, scores), abs=0.01)


@pytest.mark.parametrize("band", [precision_recall_band, roc_band])
def test_bands_are_thin_and_hold_their_curve(band):
    scores, positive = data(4, size=2000)
    curve = band(scores, positive, resamples(2000, 100, 0))
    (xs, x), (_, y), (_, low), (_, high) = curve.items()
    assert len(x) == len(y) == len(low) == len(high) <= 200
    assert np.all(np.diff(x) > 0), xs
    assert np.all(np.array(low) <= y)
    assert np.all(np.array(y) <= high)
    assert 0 <= min(low) <= max(high) <= 1
    middle = len(x) // 2
    assert 0.01 < high[middle] - low[middle] < 0.2
    assert curve == band(scores, positive, resamples(2000, 100, 0))


def test_a_band_holds_the_truth_at_a_point_as_often_as_it_says():
    # scores of positives are uniform on (0, 1), of negatives on (0, 0.8): at a rate r the threshold is
    # 0.8 (1 - r), and as many positives as 1 - 0.8 (1 - r) are above it
    random, covered, tries = np.random.default_rng(7), 0, 200
    positive = np.arange(150) % 2 == 0
    for seed in range(tries):
        scores = random.uniform(size=150) * np.where(positive, 1, 0.8)
        curve = roc_band(scores, positive, resamples(150, 100, seed), points=1000)
        at = np.searchsorted(curve["false_positive_rate"], 0.5)
        truth = 1 - 0.8 * (1 - curve["false_positive_rate"][at])
        covered += curve["low"][at] <= truth <= curve["high"][at]
    assert 0.92 <= covered / tries <= 0.99


def test_what_is_always_right_so_far_has_a_band_for_so_few_answers():
    scores, positive = np.arange(20.0), np.arange(20) >= 10
    curve = precision_recall_band(scores, positive, resamples(20, 50, 0))
    assert curve["precision"] == [1] * 10
    assert curve["high"] == [1] * 10
    assert curve["low"][0] == 0  # of one answer nothing is known
    assert np.all(np.diff(curve["low"]) > 0)
    assert curve["low"][-1] == pytest.approx(10 / (10 + 2.262**2), abs=1e-3)


def test_curves_without_positives_or_negatives_are_empty():
    scores = np.array([0.1, 0.2])
    none = np.zeros(2, bool)
    assert set(map(len, precision_recall_band(scores, none, resamples(2, 5, 0)).values())) == {0}
    for positive in (none, ~none):
        assert set(map(len, roc_band(scores, positive, resamples(2, 5, 0)).values())) == {0}


@pytest.mark.parametrize("band", [precision_recall_band, roc_band])
def test_resamples_without_positives_or_negatives_are_left_out(band):
    scores, positive = np.array([0.9, 0.1, 0.5]), np.array([True, False, False])
    blocks = np.array([[0, 3, 0], [3, 0, 0], [1, 1, 1], [1, 2, 0]])
    curve = band(scores, positive, [blocks])
    assert np.isfinite([*curve["low"], *curve["high"]]).all()
