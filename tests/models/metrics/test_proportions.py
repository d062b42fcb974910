import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats

from conveyor.models.metrics.bootstrap import interval, resamples
from conveyor.models.metrics.classification import Ranking
from conveyor.models.metrics.means import mean_of_defined
from conveyor.models.metrics.proportions import score_interval, wilson
from conveyor.models.metrics.segmentation import region_metrics

# === shares ===


def test_wilson_worked_by_hand():
    # z = 1.96, z^2 / n = 0.38415: (0.8 + 0.19207 +- sqrt(0.16 * 0.38415 + 0.38415^2 / 4)) / 1.38415
    low, high = wilson(0.8, 10)
    assert (low, high) == pytest.approx(
        ((0.99207 - 0.31354) / 1.38415, (0.99207 + 0.31354) / 1.38415), abs=1e-4
    )


@pytest.mark.parametrize("examples", [1, 2, 7, 40, 1000])
def test_wilson_equals_scipy(examples):
    for hits in {0, 1, examples // 3, examples - 1, examples}:
        expected = scipy.stats.binomtest(hits, examples).proportion_ci(method="wilson")
        assert wilson(hits / examples, examples) == pytest.approx(tuple(expected), abs=1e-12)


def test_perfect_and_zero_shares_have_a_width():
    low, high = wilson(1.0, 100)
    assert high == 1.0
    assert low == pytest.approx(100 / (100 + 1.96**2), abs=1e-5)
    assert wilson(0.0, 100) == pytest.approx((0.0, 1 - low))
    assert wilson(0.5, 0) == (None, None)


@pytest.mark.parametrize("examples", [20, 100, 1000])
def test_wilson_covers_accuracies_as_often_as_it_says(examples):
    hits = np.arange(examples + 1)
    low, high = np.array([wilson(some / examples, examples) for some in hits]).T
    accuracies = np.linspace(0.5, 0.99, 200)[:, None]
    inside = (low <= accuracies) & (accuracies <= high)
    covered = (scipy.stats.binom.pmf(hits, examples, accuracies) * inside).sum(axis=1)  # exactly
    assert 0.93 <= covered.mean() <= 0.97
    assert covered.min() > 0.88


# === other scores ===


@hypothesis.given(
    st.floats(0, 1), st.lists(st.floats(0, 1) | st.just(np.nan), min_size=2, max_size=20), st.integers(2, 50)
)
def test_an_interval_holds_its_score_and_stays_between_0_and_1(score, drawn, examples):
    low, high = score_interval(score, np.array(drawn), examples)
    if np.isfinite(drawn).sum() < 2:
        assert (low, high) == (None, None)
    else:
        assert 0 <= low <= score <= high <= 1


def test_it_is_nearly_wilsons_for_an_accuracy():
    right = np.random.default_rng(0).uniform(size=400) < 0.9
    drawn = np.concatenate(list(resamples(400, 4000, 1))) @ right / 400
    assert score_interval(right.mean(), drawn, 400) == pytest.approx(wilson(right.mean(), 400), abs=0.003)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_perfect_and_zero_scores_have_a_width(score):
    drawn = np.full(100, score)
    low, high = score_interval(score, drawn, 50)
    assert (low if score else 1 - high) == pytest.approx(50 / (50 + scipy.stats.t.ppf(0.975, 49) ** 2))
    assert (high if score else low) == score
    less = score_interval(score, drawn, 5)
    assert less[1] - less[0] > high - low


@pytest.mark.parametrize(
    ("score", "drawn", "examples"),
    [(np.nan, [0.1, 0.2], 9), (0.5, [], 9), (0.5, [np.nan, 0.5], 9), (1.0, [1.0, 1.0], 1)],
)
def test_no_interval_of_what_is_not_defined(score, drawn, examples):
    assert score_interval(score, np.array(drawn), examples) == (None, None)


def coverage(truth, examples, tries, draw, measure):
    """Returns how often intervals of resamples hold the truth: `score_interval`'s, and percentiles."""
    random, hits = np.random.default_rng(5), np.zeros(2)
    for seed in range(tries):
        data = draw(random, examples)
        score = measure(data, np.ones((1, examples)))[0]
        drawn = measure(data, next(resamples(examples, 250, seed)))
        for place, (low, high) in enumerate((score_interval(score, drawn, examples), interval(drawn))):
            hits[place] += low <= truth <= high
    return hits / tries


@pytest.mark.slow
@pytest.mark.parametrize(("examples", "gap"), [(60, 2.0), (60, 3.0), (100, 4.0)])  # AP 0.87, 0.97, 0.996
def test_intervals_of_average_precision_cover_the_truth(examples, gap):
    def draw(random, examples):
        positive = random.integers(0, 3, examples)[:, None] == np.arange(3)
        return random.normal(size=(examples, 3)) + gap * positive, positive

    def measure(data, weights):
        columns = zip(*(array.T for array in data), strict=True)
        values = [Ranking.of(*column).average_precision(weights) for column in columns]
        return mean_of_defined(np.stack(values, axis=-1))

    truth = measure(draw(np.random.default_rng(1), 300_000), np.ones((1, 300_000), np.int8))[0]
    covered, by_percentiles = coverage(truth, examples, 600, draw, measure)
    assert 0.93 <= covered <= 0.97
    assert by_percentiles < covered


@pytest.mark.slow
def test_intervals_of_mean_iou_cover_the_truth():
    def draw(random, examples):
        areas = 1000 * random.dirichlet([4, 2, 1], examples)
        areas[random.uniform(size=examples) < 0.3, 2] = 0  # not every image has the third class
        shares = np.stack([random.dirichlet(row, examples) for row in 10 * (0.8 * np.eye(3) + 0.1)], axis=1)
        return np.round(areas[:, :, None] * shares)

    def measure(confusions, weights):
        return region_metrics(confusions, weights, ["a", "b", "c"])["mean_iou"]

    truth = measure(draw(np.random.default_rng(1), 300_000), np.ones((1, 300_000)))[0]
    covered, _ = coverage(truth, 80, 800, draw, measure)
    assert 0.93 <= covered <= 0.97
