import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import sklearn.metrics

from conveyor.models.metrics import classification
from conveyor.models.metrics.classification import Ranking, Rankings

LEVELS = [0.0, 0.1, 0.25, 0.5, 0.5000001, 1.0]  # few, so that ties are many


def roc_auc(scores, positive, weights=None):
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights)
    return Ranking.of(np.array(scores), np.array(positive, bool)).roc_auc(weights[None])[0]


@st.composite
def cases(draw):
    """Scores, positives and weights of a few examples and classes; any number of positives."""
    examples, classes = draw(st.integers(1, 15)), draw(st.integers(1, 4))
    size = examples * classes
    levels = st.sampled_from(LEVELS) if draw(st.booleans()) else st.floats(0, 1, width=32)
    scores = np.array(draw(st.lists(levels, min_size=size, max_size=size)))
    positive = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=examples, max_size=examples)))
    hypothesis.assume(weights.any())
    return scores.reshape(examples, classes), positive.reshape(examples, classes), weights


def names(classes):
    return [f"c{label}" for label in range(classes)]


# === area under the ROC curve ===


def test_roc_auc_worked_by_hand():
    # positives 0.9, 0.4; negatives 0.8, 0.4, 0.1. 0.9 beats 3, 0.4 beats one and ties with one
    assert roc_auc([0.9, 0.8, 0.4, 0.4, 0.1], [1, 0, 1, 0, 0]) == pytest.approx((3 + 1.5) / (2 * 3))
    # as if drawn 1, 2, 3, 1, 0 times: 0.9 beats 3 of weight, each of three 0.4 ties with 1
    weighted = roc_auc([0.9, 0.8, 0.4, 0.4, 0.1], [1, 0, 1, 0, 0], [1, 2, 3, 1, 0])
    assert weighted == pytest.approx((1 * 3 + 3 * 0.5) / (4 * 3))


@pytest.mark.parametrize(
    ("scores", "positive", "expected"),
    [
        ([0.9, 0.8, 0.3], [1, 1, 0], 1.0),
        ([0.1, 0.8, 0.3], [1, 0, 0], 0.0),
        ([0.3, 0.3, 0.3], [1, 0, 0], 0.5),
        ([0.3, 0.9], [0, 0], np.nan),
        ([0.3, 0.9], [1, 1], np.nan),
    ],
)
def test_roc_auc_at_extremes(scores, positive, expected):
    np.testing.assert_equal(roc_auc(scores, positive), expected)


@hypothesis.given(cases())
def test_roc_auc_equals_scikit_learn(case):
    scores, positive, weights = case[0][:, 0], case[1][:, 0], case[2]
    found = roc_auc(scores, positive, weights)
    drawn = positive[weights > 0]
    if drawn.all() or not drawn.any():
        assert np.isnan(found)
    else:
        expected = sklearn.metrics.roc_auc_score(positive, scores, sample_weight=weights)
        assert found == pytest.approx(expected, abs=1e-12)


@hypothesis.given(cases())
def test_turning_scores_round_turns_the_area_round(case):
    scores, positive, weights = case[0][:, 0], case[1][:, 0], case[2]
    found, turned = roc_auc(scores, positive, weights), roc_auc(-scores, positive, weights)
    np.testing.assert_allclose(found + turned, 1.0 if np.isfinite(found) else np.nan, rtol=0, atol=1e-12)


def test_an_anomaly_score_is_ranked_like_any_other():
    squared_error = np.array([0.01, 0.2, 0.02, 0.3, 0.05], np.float32)
    ranking = Ranking.of(squared_error, np.array([0, 1, 0, 0, 1], bool))
    assert ranking.roc_auc(np.ones((1, 5)))[0] == pytest.approx((2 + 2) / (2 * 3))
    assert ranking.average_precision(np.ones((1, 5)))[0] == pytest.approx((1 / 2 + 2 / 3) / 2)


# === averages over classes ===


@hypothesis.given(cases())
@hypothesis.settings(deadline=None)
def test_average_precision_equals_scikit_learn_over_classes(case):
    check_averages("average_precision", sklearn.metrics.average_precision_score, *case, negatives=False)


@hypothesis.given(cases())
@hypothesis.settings(deadline=None)
def test_roc_auc_equals_scikit_learn_over_classes(case):
    check_averages("roc_auc", sklearn.metrics.roc_auc_score, *case, negatives=True)


def check_averages(metric, oracle, scores, positive, weights, negatives):
    rankings = Rankings.of(scores, positive, names(scores.shape[1]))
    found = rankings(weights[None])
    drawn = positive[weights > 0]
    defined = drawn.any(axis=0) & ~(drawn.all(axis=0) & negatives)
    for label in range(scores.shape[1]):
        assert np.isfinite(found[f"{metric}/c{label}"][0]) == defined[label]
    if not defined.any():
        assert np.isnan(found[f"{metric}_macro"][0])
        assert np.isnan(found[f"{metric}_weighted"][0])
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of classes that are not defined
        kept = positive[:, defined], scores[:, defined]
        for average in ("macro", "weighted"):
            expected = oracle(*kept, average=average, sample_weight=weights)
            assert found[f"{metric}_{average}"][0] == pytest.approx(expected, abs=1e-12)
        expected = oracle(positive, scores, average="micro", sample_weight=weights)
        assert found[f"{metric}_micro"][0] == pytest.approx(expected, abs=1e-12)


def test_averages_worked_by_hand():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    positive = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], bool)
    found = Rankings.of(scores, positive, ["a", "b"])(np.ones((1, 4)))
    # a: right at ranks 1 and 3 (0.9, 0.8, 0.4); b: right at ranks 1 and 3 (0.7, 0.6, 0.2)
    assert found["average_precision/a"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["average_precision_macro"] == pytest.approx((1 + 2 / 3) / 2)
    # all pairs: 0.9+ 0.8- 0.7+ 0.6- 0.4+ 0.3- 0.2+ 0.1-
    assert found["average_precision_micro"] == pytest.approx((1 + 2 / 3 + 3 / 5 + 4 / 7) / 4)


def test_weighted_counts_classes_by_their_positives():
    scores = np.array([[0.9, 0.9, 0.1], [0.8, 0.8, 0.1], [0.7, 0.7, 0.1], [0.6, 0.6, 0.1]])
    positive = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)  # nobody is of the third
    found = Rankings.of(scores, positive, ["a", "b", "c"])(np.ones((1, 4)))
    assert found["average_precision_weighted"] == pytest.approx(3 / 4 * 1 + 1 / 4 * 1 / 4)
    assert found["average_precision_macro"] == pytest.approx((1 + 1 / 4) / 2)


def test_what_each_average_rests_on():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    positive = np.array([[1, 0], [0, 1], [0, 0], [1, 0]], bool)
    rests = Rankings.of(scores, positive, ["a", "b"]).rests(4)
    assert set(rests) == set(Rankings.of(scores, positive, ["a", "b"])(np.ones((1, 4))))
    assert sorted(rests["average_precision/a"].tolist()) == [0, 3]
    assert rests["roc_auc/b"].tolist() == [1]
    assert rests["roc_auc_micro"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("part", [1, 7, 100])
def test_parts_join_to_the_same_values(monkeypatch, part):
    random = np.random.default_rng(3)
    scores = random.uniform(size=(20, 3)).round(1)
    rankings = Rankings.of(scores, random.uniform(size=(20, 3)) < 0.4, names(3))
    weights = random.integers(0, 3, (9, 20))
    whole = rankings(weights)
    monkeypatch.setattr(classification, "_PART", part)
    for name, values in rankings(weights).items():
        np.testing.assert_allclose(values, whole[name], rtol=0, atol=1e-14)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="1 NaN"):
        Ranking.of(np.array([0.1, np.nan]), np.array([True, False]))
    infinite = Ranking.of(np.array([np.inf, 0.0, -np.inf]), np.array([True, False, False]))
    assert infinite.average_precision(np.ones((1, 3))) == 1


def test_no_resamples_give_no_values():
    ranking = Ranking.of(np.array([0.1, 0.2]), np.array([True, False]))
    none = np.empty((0, 2), np.int32)
    assert ranking.average_precision(none).shape == ranking.roc_auc(none).shape == (0,)
