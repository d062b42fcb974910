import numpy as np
import pytest

from conveyor.models.metrics import bootstrap
from conveyor.models.metrics.proportions import score_interval, wilson
from conveyor.models.metrics.weighted import Scores, evaluate, measure, resampled, sample
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task

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


# === intervals by kind ===

RIGHT = np.array([1, 1, 0, 1, 1, 1, 1, 1, 1, 1])


def scores(right, rests=None, raised=frozenset()):
    def compute(weights):
        return {name: weights @ right / weights.sum(axis=1) for name in ("share", "score", "other")}

    rests = np.arange(len(right)) if rests is None else rests
    return Scores(compute, {"share": rests, "score": rests}, {"share"}, raised)


def test_each_kind_has_its_interval():
    found = sample(scores(RIGHT), 10, 200, 3)
    drawn = found["other"].drawn
    assert (found["share"].low, found["share"].high) == wilson(0.9, 10)
    assert (found["score"].low, found["score"].high) == score_interval(0.9, drawn, 10)
    assert (found["other"].low, found["other"].high) == bootstrap.interval(drawn)


def test_wilson_worked_by_hand():
    """9 of 10, z = 1.96: middle (0.9 + 3.84 / 20) / (1 + 3.84 / 10) = 1.0921 / 1.3841 = 0.7890; half
    sqrt(0.9 * 0.1 * 3.84 / 10 + 3.84^2 / 400) / 1.3841 = sqrt(0.03457 + 0.03689) / 1.3841 = 0.1931."""
    row = evaluate(scores(RIGHT), 10, 50, 0)["share"]
    assert (row["low"], row["high"]) == pytest.approx((0.7890 - 0.1931, 0.7890 + 0.1931), abs=2e-4)


def test_perfect_scores_have_a_width():
    found = evaluate(scores(np.ones(10)), 10, 50, 0)
    assert found["share"]["low"] < 0.75
    assert found["score"]["low"] < 0.75
    assert found["share"]["high"] == found["score"]["high"] == 1.0
    assert found["other"] == {"value": 1.0, "low": 1.0, "high": 1.0}  # why scores say that they are


def test_an_interval_rests_on_the_examples_that_it_is_told():
    few = evaluate(scores(np.ones(10), np.array([2, 5, 6])), 10, 50, 0)["score"]
    assert few["low"] < evaluate(scores(np.ones(10)), 10, 50, 0)["score"]["low"]
    assert evaluate(scores(np.ones(10), np.array([2])), 10, 50, 0)["score"]["low"] is None


def test_groups_are_drawn_whole_and_make_intervals_wider():
    right = np.repeat(RIGHT, 20)
    groups = np.repeat(np.arange(10), 20)
    apart, together = (sample(scores(right), 200, 400, 1, units) for units in (None, groups))
    assert together["share"].value == apart["share"].value == 0.9
    width = [one["share"].high - one["share"].low for one in (apart, together)]
    assert width[1] > 3 * width[0]
    assert set(np.round(together["share"].drawn * 10, 6) % 1) == {0}  # all of a group, or nothing
    # one right or wrong answer a group: as if there were 10 examples
    drawn = sample(scores(RIGHT), 10, 400, 1)["share"].drawn
    np.testing.assert_allclose(together["share"].drawn, drawn)


def test_one_group_has_no_resamples():
    found = sample(scores(RIGHT), 10, 400, 1, np.zeros(10))
    assert len(found["other"].drawn) == 0
    assert found["other"].row() == {"value": 0.9, "low": None, "high": None}


def test_what_chance_raises_is_put_right():
    """Resamples 0.30 and 0.34 on average 0.02 above the value: both their own bias and the sample's go."""
    drawn = np.array([0.30, 0.34])
    low, high = bootstrap.raised_interval(0.30, drawn)
    assert (low, high) == pytest.approx((np.percentile(drawn, 2.5) - 2 * 0.02, np.percentile(drawn, 97.5)))
    assert bootstrap.raised_interval(0.01, drawn)[0] == 0.0
    assert bootstrap.raised_interval(0.4, drawn) == pytest.approx((0.301, 0.4))
    assert bootstrap.raised_interval(0.4, np.array([np.nan])) == (None, None)
    found = evaluate(scores(RIGHT, raised={"other"}), 10, 50, 0)["other"]
    assert found["low"] <= 0.9 <= found["high"]


# === how often intervals hold the truth ===


@pytest.mark.slow
def test_intervals_of_a_classifier_hold_the_truth():
    """Of accuracy (Wilson's), mean average precision and mean ROC area, over 3 classes and 90 examples."""
    random, tries = np.random.default_rng(11), 600

    def classify(size):
        truth = random.integers(0, 3, size)
        powers = np.exp(random.normal(size=(size, 3)) + 2.0 * np.eye(3)[truth])
        return {"targets": truth, "probabilities": powers / powers.sum(axis=1, keepdims=True)}

    task = make_task(ClassificationSettings(), ["a", "b", "c"])
    names = ("accuracy", "average_precision_macro", "roc_auc_macro")
    truth, hits = task.measure(classify(200_000)), dict.fromkeys(names, 0)
    for seed in range(tries):
        found = task.evaluate(classify(90), 150, seed)
        for name in names:
            hits[name] += found[name]["low"] <= truth[name] <= found[name]["high"]
    for name, count in hits.items():
        assert 0.93 <= count / tries <= 0.975, (name, count / tries)


@pytest.mark.slow
def test_intervals_of_groups_hold_the_truth_where_those_of_examples_do_not():
    """40 patients of 6 images each, some of them harder than others; 0.8 of all answers are right."""
    random, tries, groups = np.random.default_rng(12), 600, np.repeat(np.arange(40), 6)
    hits = np.zeros(2)
    for seed in range(tries):
        share = random.beta(2.4, 0.6, 40)
        right = random.uniform(size=240) < share[groups]
        for place, units in enumerate((groups, None)):
            row = evaluate(scores(right), 240, 200, seed, units)["share"]
            hits[place] += row["low"] <= 0.8 <= row["high"]
    assert 0.93 <= hits[0] / tries <= 0.97
    assert hits[1] / tries < 0.85
