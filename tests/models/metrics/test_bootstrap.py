import numpy as np
import pytest

from conveyor.models.metrics import bootstrap
from conveyor.models.metrics.bootstrap import interval, resamples


def drawn(*arguments):
    return np.concatenate(list(resamples(*arguments)))


@pytest.mark.parametrize(("examples", "count"), [(1, 3), (2, 50), (37, 200)])
def test_each_row_is_one_resample(examples, count):
    weights = drawn(examples, count, 0)
    assert weights.shape == (count, examples)
    assert weights.dtype == np.int32
    assert np.all(weights.sum(axis=1) == examples)
    assert np.all(weights >= 0)


def test_seed_decides():
    np.testing.assert_array_equal(drawn(20, 30, 5), drawn(20, 30, 5))
    assert np.any(drawn(20, 30, 5) != drawn(20, 30, 6))


def test_rows_differ_and_every_example_is_as_likely():
    weights = drawn(10, 4000, 1)
    assert len(np.unique(weights, axis=0)) > 3500  # of 92,378 that there are
    # a mean of 4000 counts of mean 1 and variance 0.9 is within 5 standard errors
    assert np.all(abs(weights.mean(axis=0) - 1) < 5 * np.sqrt(0.9 / 4000))
    assert weights.var() == pytest.approx(0.9, rel=0.05)


@pytest.mark.parametrize("block", [1, 50, 64, 1000])
def test_blocks_join_to_the_same_resamples(monkeypatch, block):
    whole = drawn(20, 33, 2)
    monkeypatch.setattr(bootstrap, "_BLOCK", block)
    blocks = list(resamples(20, 33, 2))
    assert all(rows.size <= max(block, 20) for rows in blocks)
    assert len(blocks) == -(-33 // max(1, block // 20))
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_none_asked_for_none_given():
    assert list(resamples(20, 0, 0)) == []


def test_examples_of_a_group_are_drawn_together():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    weights = drawn(6, 400, 3, groups)
    by_group = weights[:, [1, 0, 3]]  # a, b, c
    np.testing.assert_array_equal(weights, by_group[:, [1, 0, 1, 2, 0, 1]])
    assert np.all(by_group.sum(axis=1) == 3)
    np.testing.assert_array_equal(by_group, drawn(3, 400, 3))  # drawn as three units would be


def test_groups_of_one_are_no_groups_whatever_their_names():
    np.testing.assert_array_equal(drawn(5, 40, 1, np.array([3, 9, 11, 20, 21])), drawn(5, 40, 1))


def test_groups_in_blocks_join_to_the_same_resamples(monkeypatch):
    groups = np.arange(20) // 4
    whole = drawn(20, 33, 2, groups)
    monkeypatch.setattr(bootstrap, "_BLOCK", 64)
    np.testing.assert_array_equal(drawn(20, 33, 2, groups), whole)


def test_groups_for_other_examples_are_refused():
    with pytest.raises(ValueError, match="5 examples"):
        drawn(5, 10, 0, np.array([1, 2]))


def test_groups_widen_the_interval_of_examples_that_are_alike():
    random = np.random.default_rng(0)
    right = np.repeat(random.uniform(size=50) < 0.7, 10)
    low, high = interval(drawn(500, 1000, 0) @ right / 500)
    grouped = drawn(500, 1000, 0, np.repeat(np.arange(50), 10))
    far_low, far_high = interval(grouped @ right / grouped.sum(axis=1))
    # ten copies of each say as little as one: the square root of ten wider
    assert (far_high - far_low) / (high - low) == pytest.approx(np.sqrt(10), rel=0.1)


def test_interval_holds_the_middle_95_percent():
    values = np.arange(1001) / 1000
    assert interval(np.random.default_rng(0).permutation(values)) == pytest.approx((0.025, 0.975))
    assert interval(np.append(values, [np.nan, np.inf])) == pytest.approx((0.025, 0.975))
    assert interval(np.array([0.5])) == (0.5, 0.5)


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_interval_of_nothing_is_none(values):
    assert interval(np.array(values)) == (None, None)


@pytest.mark.parametrize("accuracy", [0.6, 0.9])
def test_intervals_cover_the_truth_as_often_as_they_say(accuracy):
    random = np.random.default_rng(11)
    covered, tries, examples = 0, 400, 400
    for seed in range(tries):
        correct = random.uniform(size=examples) < accuracy
        low, high = interval(drawn(examples, 200, seed) @ correct / examples)
        covered += low <= accuracy <= high
    assert 0.92 <= covered / tries <= 0.98
