"""Distances: by hand, against SciPy, and how often chance alone exceeds what chance is said to give."""

import math

import numpy as np
import pytest
import scipy.spatial.distance
from hypothesis import given
from hypothesis import strategies as st

from conveyor.components.example_validator.distance import (
    RISK,
    Distance,
    divergence,
    effective_size,
    infinity_norm,
    jensen_shannon,
)
from conveyor.components.statistics_gen.sketch import Sketch

SIZES = [(1000, 1000), (1000, 100), (300, 12), (40, 3), (5, 5), (1, 1)]


def counts(values):
    return {index: int(count) for index, count in enumerate(values)}


def sketch(values):
    return Sketch().add(np.asarray(values, np.float64))


# === shares ===


def test_shares_by_hand():
    found = infinity_norm({"a": 80, "b": 20}, {"a": 30, "b": 15, "c": 5}, (100, 50))
    assert (found.name, found.value) == ("a", pytest.approx(0.2))
    assert found.shares == (pytest.approx(0.8), pytest.approx(0.6))
    # p = 110 / 150, L = ln(6 / RISK), b = L / 150.
    p, scale = 110 / 150, math.log(6 / RISK)
    b = scale / 150
    assert found.chance == pytest.approx(b + math.sqrt(b * b + 2 * p * (1 - p) * 0.03 * scale))


def test_the_largest_difference_is_that_of_a_class_beyond_chance():
    """A common class may differ by more than a rare one, and yet by no more than chance gives."""
    one = {"half": 500_000, "rest": 500_000, "rare": 10}
    other = {"half": 480, "rest": 470, "rare": 50}
    found = infinity_norm(one, other, (1_000_010, 1000))
    assert found.name == "rare"
    assert found.exceeds(0.0)


def test_a_threshold_and_chance_must_both_be_exceeded():
    distance = Distance(0.2, 0.1)
    assert distance.exceeds(0.15)
    assert not distance.exceeds(0.2)
    assert not Distance(0.2, 0.3).exceeds(0.15)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.1] * 10, [0.96, 0.02, 0.01, 0.01], [0.001] * 1000])
def test_shares_of_one_distribution_seldom_exceed_chance(sizes, shares):
    dice = np.random.default_rng(len(shares))
    trials = 300 if len(shares) < 100 else 20
    draws = [dice.multinomial(size, shares, trials) for size in sizes]
    alarms = sum(
        infinity_norm(counts(one), counts(other), sizes).exceeds(0.0)
        for one, other in zip(*draws, strict=True)
    )
    assert alarms == 0


def test_shares_that_differ_are_told_from_chance():
    assert infinity_norm(counts([500, 500]), counts([80, 20]), (1000, 100)).exceeds(0.05)
    assert infinity_norm(counts([0, 1000]), counts([12, 0]), (1000, 12)).exceeds(0.05)
    assert not infinity_norm(counts([500, 500]), counts([7, 3]), (1000, 10)).exceeds(0.05)


# === divergence ===


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=9).filter(
        lambda pairs: all(map(any, zip(*pairs, strict=True)))
    )
)
def test_against_scipy(pairs):
    one, other = ([pair[side] for pair in pairs] for side in (0, 1))
    found = jensen_shannon(counts(one), counts(other), (50, 50)).value
    known = scipy.spatial.distance.jensenshannon(one, other, base=2) ** 2
    assert found == pytest.approx(0 if math.isnan(known) else known, abs=1e-9)
    assert 0 <= found <= 1 + 1e-12
    assert found == pytest.approx(jensen_shannon(counts(other), counts(one), (50, 50)).value, abs=1e-12)


def test_equal_and_disjoint_numbers():
    assert divergence(sketch([28] * 50), sketch([28] * 9), (50, 9)).value == 0
    apart = divergence(sketch([28] * 50), sketch([32] * 9), (50, 9))
    assert apart.value == 1
    assert apart.exceeds(0.1)
    assert not divergence(sketch([28] * 50), sketch([32]), (50, 1)).exceeds(0.1)


def test_bins_hold_about_equal_mass():
    """Uniform on [1, 2] against [1.5, 2.5]: half of each lies where the other has none, so half a bit."""
    one, other = np.linspace(1, 2, 20_000), np.linspace(1.5, 2.5, 20_000)
    found = divergence(sketch(one), sketch(other), (20_000, 20_000))
    assert found.value == pytest.approx(0.5, abs=0.05)


SAMPLES = {
    "smooth": lambda dice, size: dice.gamma(4, 20, size),
    "few values": lambda dice, size: dice.choice([224, 256, 320, 640], size, p=[0.7, 0.1, 0.1, 0.1]),
    "with zeros": lambda dice, size: np.maximum(dice.normal(0, 40, size), 0),
}


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("sizes", SIZES)
def test_numbers_of_one_distribution_seldom_exceed_chance(kind, sizes):
    dice = np.random.default_rng(7)
    alarms = 0
    for _ in range(100):
        one, other = (sketch(SAMPLES[kind](dice, size)) for size in sizes)
        alarms += divergence(one, other, sizes).exceeds(0.0)
    assert alarms == 0


@pytest.mark.parametrize(("sizes", "shift"), [((1000, 1000), 0.8), ((1000, 100), 1.0), ((300, 30), 1.5)])
def test_numbers_that_differ_are_told_from_chance(sizes, shift):
    """A shift of so many standard deviations is found in nearly every draw."""
    dice = np.random.default_rng(3)
    found = [
        divergence(
            sketch(dice.normal(100, 10, sizes[0])), sketch(dice.normal(100 + 10 * shift, 10, sizes[1])), sizes
        ).exceeds(0.1)
        for _ in range(40)
    ]
    assert sum(found) >= 36


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.lists(st.floats(0, 1e6), min_size=1))
def test_divergence_is_within_bounds_and_symmetric(one, other):
    sizes = len(one), len(other)
    found = divergence(sketch(one), sketch(other), sizes)
    assert 0 <= found.value <= 1 + 1e-9
    assert found.value == pytest.approx(divergence(sketch(other), sketch(one), sizes[::-1]).value, abs=1e-9)


# === effective sizes ===


def test_effective_size():
    assert effective_size(sketch([4] * 25)) == pytest.approx(25)
    assert effective_size(sketch([4] * 25 + [0] * 75)) == pytest.approx(25)
    assert effective_size(sketch([1, 3])) == pytest.approx(1.6)
    assert effective_size(sketch([0, 0])) == 0


def test_objects_that_resemble_each_other_raise_no_alarm():
    """Each image holds objects of one class: so many objects are worth only so many images."""
    dice = np.random.default_rng(1)
    for _ in range(50):
        samples = [(dice.integers(0, 2, images), dice.poisson(20, images)) for images in (100, 30)]
        totals = [counts(np.bincount(kinds, weights=sizes, minlength=2)) for kinds, sizes in samples]
        effective = tuple(effective_size(sketch(sizes)) for _, sizes in samples)
        assert not infinity_norm(*totals, effective).exceeds(0.0)
