"""Summaries of numbers: exact where they say so, and the same however they were put together."""

import collections
import fractions
import json
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conveyor.components.statistics_gen.sketch import Sketch, deviation, sketch_groups

# What is summarised: sizes, bytes and brightness.
numbers = st.one_of(
    st.integers(0, 2**31), st.floats(0, 255, width=32), st.floats(0, 1e9, allow_subnormal=False)
)
lists = st.lists(numbers, max_size=40)
UNIT = 2.0**-24


def sketch(values):
    return Sketch().add(np.array(values, np.float64))


def merged(*sketches):
    total = Sketch()
    for one in sketches:
        total.merge(one)
    return total


def state(one):
    return one.count, one.total, one.squares, one.low, one.high, dict(one.buckets)


@given(lists, lists)
def test_merging_is_commutative(a, b):
    assert state(merged(sketch(a), sketch(b))) == state(merged(sketch(b), sketch(a)))


@given(lists, lists, lists)
def test_merging_is_associative(a, b, c):
    left = merged(merged(sketch(a), sketch(b)), sketch(c))
    right = merged(sketch(a), merged(sketch(b), sketch(c)))
    assert state(left) == state(right)


@given(lists, st.integers(0, 40))
def test_merged_parts_are_the_whole(values, cut):
    assert state(merged(sketch(values[:cut]), sketch(values[cut:]))) == state(sketch(values))


@given(st.lists(numbers, min_size=1, max_size=60), st.floats(0, 1))
@example([0, 0, 5], 0.5)
@example([1e-7, 1.0], 0.0)
@example([1.01**7] * 3, 0.5)
def test_quantiles_are_within_half_a_percent(values, share):
    """Of value number floor(share * (n - 1)) in order, counted from 0."""
    exact = sorted(float(value) for value in values)[math.floor(share * (len(values) - 1))]
    found = sketch(values).quantile(share)
    assert abs(found - exact) <= 0.005 * exact + 1e-9
    assert min(values) <= found <= max(values)


@given(st.lists(numbers, min_size=1, max_size=60), st.integers(1, 12))
def test_quantiles_are_in_order_and_end_in_the_extremes(values, shares):
    found = sketch(values).describe(shares)
    quantiles = found["quantiles"]
    assert len(quantiles) == shares + 1
    assert quantiles == sorted(quantiles)
    assert (found["min"], found["max"]) == (min(values), max(values))
    assert quantiles[0] == pytest.approx(min(values), rel=0.005, abs=1e-9)
    assert quantiles[-1] == pytest.approx(max(values), rel=0.005, abs=1e-9)


@given(st.lists(numbers, min_size=1, max_size=60))
def test_mean_and_deviation(values):
    exact = [fractions.Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / len(exact)
    found = sketch(values).describe(2)
    assert found["mean"] == pytest.approx(float(mean), rel=1e-15, abs=UNIT)
    assert found["std"] == pytest.approx(math.sqrt(variance), rel=1e-12, abs=UNIT)


@given(numbers, st.integers(1, 50))
def test_equal_values(value, count):
    found = sketch([value] * count).describe(4)
    assert found["std"] == 0
    assert found["quantiles"] == [value] * 5
    assert found["min"] == found["max"] == value


def test_nothing_is_lost_where_the_mean_is_large():
    # A million files of 10 MB, every other one a byte longer: a deviation of half a byte.
    one = sketch([10_000_000, 10_000_001] * 500)
    total = merged(*[one] * 1000)
    assert total.describe(2)["std"] == 0.5
    assert total.describe(2)["mean"] == 10_000_000.5


def test_zeros():
    found = sketch([0, 0, 0, 8]).describe(4)
    assert found["quantiles"] == [0, 0, 0, 0, pytest.approx(8, rel=0.005)]
    assert sketch([0.0]).describe(2)["quantiles"] == [0, 0, 0]


def test_by_hand():
    # Bucket i holds (1.01^(i-1), 1.01^i]: 100 is in 463 (1.01^463 = 100.19), told as 2 * 1.01^463 / 2.01.
    one = sketch([50, 100, 200])
    assert 463 in one.buckets
    assert one.quantile(0.5) == pytest.approx(2 * 1.01**463 / 2.01)
    # Mean 350 / 3; variance (2500 + 10000 + 40000) / 3 - (350 / 3)^2 = 17500 - 13611.1 = 3888.9.
    assert one.describe(2)["mean"] == pytest.approx(116.6667, abs=1e-4)
    assert one.describe(2)["std"] == pytest.approx(62.3610, abs=1e-4)


def test_adding_nothing():
    assert state(sketch([])) == state(Sketch())


@given(st.lists(st.integers(0, 255), min_size=1))
def test_deviation_of_whole_numbers(values):
    found = deviation(len(values), sum(values), sum(value * value for value in values))
    assert found == pytest.approx(np.std(values), abs=1e-6)


def test_nothing_to_describe():
    assert Sketch().describe(4) is None


@given(st.lists(st.integers(0, 2**38), min_size=1, max_size=30))
def test_sums_are_exact_however_large(values):
    one = sketch(values)
    assert one.total == sum(value << 24 for value in values)
    assert one.squares == sum((value << 24) ** 2 for value in values)


@given(lists)
def test_json_and_back(values):
    one = sketch([*values, 7])
    text = json.dumps(one.describe(4)["sketch"], allow_nan=False)
    again = Sketch.from_json(json.loads(text))
    assert state(again) == state(one)
    assert state(again.merge(sketch(values))) == state(one.merge(sketch(values)))


@given(st.lists(st.tuples(st.integers(0, 5), numbers), max_size=60))
def test_groups_at_once_are_the_groups_one_by_one(pairs):
    known = collections.defaultdict(list)
    for group, value in pairs:
        known[group].append(value)
    groups = np.array([group for group, _ in pairs], np.int32)
    found = sketch_groups(np.array([value for _, value in pairs], np.float64), groups)
    assert {group: state(one) for group, one in found.items()} == {
        group: state(sketch(values)) for group, values in known.items()
    }


def test_more_values_than_are_taken_at_once(monkeypatch):
    values = np.random.default_rng(0).integers(0, 1000, 200)
    whole, groups = state(sketch(values)), values % 3
    split = {group: state(one) for group, one in sketch_groups(values, groups).items()}
    monkeypatch.setattr("conveyor.components.statistics_gen.sketch._CHUNK", 7)
    assert state(sketch(values)) == whole
    assert {group: state(one) for group, one in sketch_groups(values, groups).items()} == split


@given(st.lists(numbers, min_size=1, max_size=60), st.integers(1, 12))
def test_histograms(values, bars):
    """Against NumPy, on the values as the sketch tells them."""
    one = sketch(values)
    told = np.array([one.quantile(rank / max(len(values) - 1, 1)) for rank in range(len(values))])
    found = one.histogram(bars)
    assert sum(count for _, _, count in found) == len(values)
    assert (found[0][0], found[-1][1]) == (one.low, one.high)
    for low, high, _ in found[:1] + found[-1:]:
        assert low <= high
    below = np.cumsum([count for _, _, count in found])
    for (_, high, _), count in zip(found, below, strict=True):
        margin = 1e-9 * max(one.high, 1)
        assert (told < high - margin).sum() <= count <= (told <= high + margin).sum()


def test_zeros_are_counted():
    assert (sketch([0, 0, 3]).zeros, sketch([3]).zeros) == (2, 0)
