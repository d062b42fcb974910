import numpy as np
import pytest

from conveyor.components.evaluator.compare import Gain, find_gain, find_verdict, holm
from conveyor.models.metrics.bootstrap import resamples
from conveyor.models.metrics.weighted import Sample, sample
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task


def records(right):
    """Returns records of a classifier of two classes that is right where `right` says so."""
    truth = np.arange(len(right)) % 2
    return {"targets": truth, "probabilities": np.eye(2)[np.where(right, truth, 1 - truth)] * 0.8 + 0.1}


def gain_of(new, old, metric="accuracy", sign=1, count=1000):
    task = make_task(ClassificationSettings(), ["no", "yes"])
    samples = [sample(task.weighted(records(right)), len(right), count, 0)[metric] for right in (new, old)]
    return find_gain(*samples, sign)


def test_gain_worked_by_hand():
    """Ten examples: the old model is right on 5, the new one on these and 3 more."""
    old = np.arange(10) < 5
    gain = gain_of(np.arange(10) < 8, old)
    assert gain.value == pytest.approx(0.3)
    # the number of the 3 that are drawn is binomial(10, 0.3): at least 1 with probability 1 - 0.7^10
    assert gain.probability == pytest.approx(1 - 0.7**10 / 2, abs=0.015)
    assert gain.error == pytest.approx(np.sqrt(0.3 * 0.7 / 10), rel=0.1)
    assert gain.low == pytest.approx(0.0, abs=0.11)
    assert gain.high == pytest.approx(0.6, abs=0.01)


def test_pairs_are_resampled_together():
    """Both err on the same half, so that nothing but one example tells them apart."""
    old = np.arange(200) % 2 == 0
    new = old.copy()
    new[1] = True
    gain = gain_of(new, old)
    assert gain.high - gain.low <= 0.02  # apart, each accuracy has an interval of 0.14
    assert find_verdict(gain, 0.0) == "undecided"


def test_a_model_and_itself():
    right = np.arange(50) % 3 > 0
    gain = gain_of(right, right)
    assert gain == Gain(0.0, 0.0, 0.0, 0.0, 0.5)
    assert find_verdict(gain, 0.0) == "undecided"
    assert find_verdict(gain, 0.01) == "not worse"
    assert gain.worse(0.0) == 1.0


def test_of_some_metrics_less_is_better():
    old, new = np.arange(400) % 2 == 0, np.arange(400) % 8 > 0
    assert find_verdict(gain_of(new, old), 0.0) == "better"
    gain = gain_of(new, old, "ece", -1)
    assert gain.value > 0
    assert find_verdict(gain, 0.0) == "better"
    assert find_verdict(gain_of(old, new, "ece", -1), 0.0) == "worse"


def test_what_is_undefined_is_not_compared():
    defined, undefined = Sample(0.5, np.full(9, 0.5)), Sample(None, np.full(9, np.nan))
    assert find_gain(defined, undefined, 1) is None
    assert find_gain(undefined, defined, 1) is None
    assert find_gain(Sample(0.5, np.array([])), Sample(0.5, np.array([])), 1) is None


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (0.01, 0.03, 0.0, "better"),
        (0.0, 0.03, 0.0, "undecided"),
        (-0.01, 0.03, 0.0, "undecided"),
        (-0.01, 0.03, 0.01, "undecided"),
        (-0.01, 0.03, 0.011, "not worse"),
        (-0.02, -0.01, 0.03, "not worse"),
        (-0.02, -0.01, 0.015, "worse"),
        (-0.02, 0.0, 0.0, "undecided"),
    ],
)
def test_verdict(low, high, margin, verdict):
    assert find_verdict(Gain((low + high) / 2, low, high, 0.01, 0.5), margin) == verdict


@pytest.mark.parametrize(("examples", "accuracy", "apart"), [(360, 0.98, 0.02), (120, 0.9, 0.1)])
def test_of_equal_models_one_is_seldom_called_better(examples, accuracy, apart):
    """They disagree on some examples, each of which either is as likely to get right."""
    random, tries = np.random.default_rng(3), 800
    weights = np.concatenate(list(resamples(examples, 400, 0))) / examples
    verdicts = []
    for _ in range(tries):
        both = random.random(examples) < accuracy
        differ, winner = random.random(examples) < apart, random.random(examples) < 0.5
        new, old = np.where(differ, winner, both), np.where(differ, ~winner, both)
        gain = find_gain(Sample(new.mean(), weights @ new), Sample(old.mean(), weights @ old), 1)
        verdicts.append(find_verdict(gain, 0.0))
    # 2.5% of 800 is 20, with a standard deviation of 4.4
    assert verdicts.count("better") <= 20 + 3 * 4.4
    assert verdicts.count("worse") <= 20 + 3 * 4.4


def test_a_better_model_is_found():
    random = np.random.default_rng(4)
    found = 0
    for _ in range(20):
        new, old = random.random(400) < 0.95, random.random(400) < 0.85
        found += find_verdict(gain_of(new, old, count=200), 0.0) == "better"
    assert found >= 19


def test_holm_worked_by_hand():
    """0.025 / 4 = 0.00625; 0.025 / 3 = 0.00833; 0.025 / 2 = 0.0125; 0.025."""
    assert holm([0.02, 0.006, 0.012, 0.008]) == [True, True, True, True]
    assert holm([0.02, 0.006, 0.013, 0.008]) == [False, True, False, True]
    assert holm([0.007, 0.007, 0.007, 0.007]) == [False] * 4
    assert holm([0.025]) == [True]
    assert holm([]) == []


@pytest.mark.parametrize(("value", "error", "margin", "p"), [(-1.96, 1, 0, 0.025), (-3, 1, 3, 0.5)])
def test_p_value_of_being_worse(value, error, margin, p):
    assert Gain(value, value, value, error, 0.0).worse(margin) == pytest.approx(p, rel=1e-3)


def test_without_spread_the_sign_decides():
    assert Gain(-0.1, -0.1, -0.1, 0.0, 0.0).worse(0.0) == 0.0
    assert Gain(-0.1, -0.1, -0.1, 0.0, 0.0).worse(0.1) == 1.0
