"""Splits depend on an example's own content, and have the shares that were asked for."""

import hashlib
import math

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.components.example_gen.settings import SplitSettings
from conveyor.components.example_gen.splits import assign

DEFAULT = SplitSettings()
FIRST, LAST = "0" * 32, "f" * 32


def hashes(count):
    return [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(count)]


def shares_of(source_split, source_splits, shares, count=20_000):
    """Returns split -> share of examples of that split at the source."""
    found = [assign(source_split, content, source_splits, shares) for content in hashes(count)]
    return {split: found.count(split) / count for split in set(found)}


def near(share, count=20_000):
    """Four standard deviations of a share of examples drawn at random."""
    return pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / count))


@pytest.mark.parametrize(
    ("train", "validation", "test"), [(0.8, 0.1, 0.1), (0.5, 0.2, 0.3), (0.98, 0.01, 0.01), (0.4, 0.6, 0)]
)
def test_shares_where_the_source_has_no_splits(train, validation, test):
    found = shares_of("", set(), SplitSettings(train=train, validation=validation, test=test))
    expected = {"train": train, "validation": validation, "test": test}
    assert found == {split: near(share) for split, share in expected.items() if share}


@pytest.mark.parametrize(
    ("source_splits", "expected"),
    [
        ({"train"}, {"train": 0.7, "validation": 0.2, "test": 0.1}),
        ({"train", "test"}, {"train": 0.8, "validation": 0.2}),
        ({"train", "validation"}, {"train": 0.9, "test": 0.1}),
        ({"train", "validation", "test"}, {"train": 1.0}),
        ({"train", "extra"}, {"train": 0.7, "validation": 0.2, "test": 0.1}),
    ],
)
def test_what_the_source_lacks_is_taken_from_its_training_split(source_splits, expected):
    found = shares_of("train", source_splits, SplitSettings(train=0.7, validation=0.2, test=0.1))
    assert found == {split: near(share) for split, share in expected.items()}


@given(st.sampled_from(["validation", "test", "extra"]), st.binary(), st.sets(st.sampled_from("abc")))
def test_other_splits_of_the_source_are_kept(split, content, others):
    content_hash = hashlib.sha256(content).hexdigest()
    assert assign(split, content_hash, {split, *others}, DEFAULT) == split


@pytest.mark.parametrize(
    ("shares", "first"),
    [
        (DEFAULT, "validation"),
        (SplitSettings(train=0.9, validation=0, test=0.1), "test"),
        (SplitSettings(train=1, validation=0, test=0), "train"),
    ],
)
def test_the_ends(shares, first):
    assert assign("", FIRST, set(), shares) == first
    assert assign("", LAST, set(), shares) == "train"


def test_the_edges():
    # 0.1 of 2^64 is 0x19999999_9999999a; the first hash that is not below it belongs to the next.
    for edge, below, above in ((0.1, "validation", "test"), (0.2, "test", "train")):
        place = math.ceil(edge * 2**64)
        assert assign("", f"{place - 2**12:016x}", set(), DEFAULT) == below
        assert assign("", f"{place + 2**12:016x}", set(), DEFAULT) == above


@given(st.binary(), st.floats(0.01, 0.4), st.floats(0, 0.1))
def test_a_larger_training_share_takes_nothing_out_of_it(content, held_out, less):
    """So that comparing shares compares the same models on more data."""
    content_hash = hashlib.sha256(content).hexdigest()
    smaller = held_out * (1 - less)
    before = assign("", content_hash, set(), SplitSettings(train=1 - held_out, validation=held_out, test=0))
    after = assign("", content_hash, set(), SplitSettings(train=1 - smaller, validation=smaller, test=0))
    assert (before, after) != ("train", "validation")


@pytest.mark.parametrize(
    "shares",
    [
        {"train": 0.8, "validation": 0.1, "test": 0.2},
        {"train": 0.5},
        {"train": 0, "validation": 0.5, "test": 0.5},
        {"train": 1.1, "validation": -0.1, "test": 0},
        {"train": 0.8, "validation": 0.1, "test": 0.1, "tset": 0},
    ],
)
def test_shares_that_are_none(shares):
    with pytest.raises(pydantic.ValidationError):
        SplitSettings(**shares)
