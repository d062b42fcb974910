"""Splits depend on an example's own content, and have the shares that were asked for."""

import collections
import hashlib
import math

import pyarrow as pa
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.components.example_gen.settings import SplitSettings
from conveyor.components.example_gen.splits import STRATA, Splitter, assign, gather
from conveyor.components.facts import FACTS

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


# === groups, strata, folds ===


def row(number, label=-1, group="", split="", objects=(), mask=()):
    content = hashlib.sha256(str(number).encode()).hexdigest()[:32]
    found = {"key": f"{number}", "group": group, "content_hash": content, "source_split": split}
    return {**found, "label": label, "objects": [{"label": o} for o in objects], "mask_pixels": list(mask)}


def stratified(rows, **shares):
    """Returns key -> split of each row."""
    splitter = Splitter({r["source_split"] for r in rows} - {""}, SplitSettings(stratify=True, **shares))
    schema = pa.schema([FACTS.field(name) for name in STRATA])
    table, turned = (pa.Table.from_pylist(ordered, schema) for ordered in (rows, rows[::-1]))
    before = {r["key"]: splitter.assign(r) for r in rows}
    moves = splitter.stratify(table)
    assert moves == splitter.stratify(turned), "order is no matter"
    return before | moves


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.floats(0, 0.4), st.floats(0, 0.4))
def test_each_class_has_the_shares_within_one_example(sizes, validation, test):
    train = 1 - validation - test
    rows = [row(f"{label}/{n}", label) for label, size in enumerate(sizes) for n in range(size)]
    found = stratified(rows, train=train, validation=validation, test=test)
    for label, size in enumerate(sizes):
        counts = collections.Counter(found[r["key"]] for r in rows if r["label"] == label)
        for split, share in (("train", train), ("validation", validation), ("test", test)):
            assert abs(counts[split] - share * size) <= 1 + 1e-6


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=80), st.booleans())
def test_groups_are_never_torn(members, stratify):
    rows = [row(n, label, f"patient {group}") for n, (label, group) in enumerate(members)]
    splitter = Splitter(set(), SplitSettings(train=0.4, validation=0.3, test=0.3))
    found = (
        stratified(rows, train=0.4, validation=0.3, test=0.3)
        if stratify
        else {r["key"]: splitter.assign(r) for r in rows}
    )
    assert set(found) == {r["key"] for r in rows}
    splits = collections.defaultdict(set)
    for r in rows:
        splits[r["group"]].add(found[r["key"]])
    assert all(len(touched) == 1 for touched in splits.values())


def test_copies_are_not_torn_by_strata():
    rows = [{**row(n // 2, n // 2 % 2), "key": str(n)} for n in range(200)]
    found = stratified(rows)
    assert all(found[str(n)] == found[str(n + 1)] for n in range(0, 200, 2))
    assert len(set(found.values())) == 3


def test_the_rarest_class_of_an_image_counts():
    """Of 100 images 10 show a dog too: every split has its share of those."""
    objects = [row(n, objects=[0, 1] if n % 10 == 0 else [0]) for n in range(100)]
    # Class 0 of a mask is the background, and its last count is void.
    masks = [row(n, mask=[5, 5, 5 * (n % 10 == 0), 7]) for n in range(100)]
    for rows in (objects, masks):
        found = stratified(rows, train=0.6, validation=0.2, test=0.2)
        rare = collections.Counter(found[str(n)] for n in range(0, 100, 10))
        assert rare == {"train": 6, "validation": 2, "test": 2}
        assert collections.Counter(found.values()) == {"train": 60, "validation": 20, "test": 20}


def test_strata_of_nothing_have_shares_too():
    found = stratified([row(n) for n in range(50)], train=0.6, validation=0.2, test=0.2)
    assert collections.Counter(found.values()) == {"train": 30, "validation": 10, "test": 10}


def test_strata_respect_the_splits_of_the_source():
    rows = [row(n, n % 2, split=("train", "test", "extra")[n % 3]) for n in range(90)]
    found = stratified(rows, train=0.7, validation=0.2, test=0.1)
    for r in rows:
        assert r["source_split"] == "train" or found[r["key"]] == r["source_split"]
    counts = collections.Counter(found[r["key"]] for r in rows if r["source_split"] == "train")
    assert counts == {"train": 24, "validation": 6}  # 0.2 of 15 of each class


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("source", [("",), ("train", "validation"), ("train", "validation", "test")])
def test_each_example_is_in_the_validation_split_of_one_fold(source, stratify):
    rows = [row(n, n % 3, f"g{n // 2}", source[n % 7 % len(source)]) for n in range(300)]
    folds = []
    for fold in range(4):
        shares = {"train": 0.8, "validation": 0, "test": 0.2, "folds": 4, "fold": fold}
        splitter = Splitter(set(source) - {""}, SplitSettings(**shares))
        folds.append(stratified(rows, **shares) if stratify else {r["key"]: splitter.assign(r) for r in rows})
    tests = [{key for key, split in found.items() if split == "test"} for found in folds]
    assert tests[0]
    assert all(test == tests[0] for test in tests)
    for r in rows:
        found = [fold[r["key"]] for fold in folds]
        assert found == ["test"] * 4 or sorted(found) == ["train"] * 3 + ["validation"], found
    sizes = [list(found.values()).count("validation") for found in folds]
    assert min(sizes) > 0.6 * max(sizes)


def test_stratified_folds_have_as_many_of_each_class():
    rows = [row(n, n % 2) for n in range(80)]
    for fold in range(4):
        found = stratified(rows, train=1, validation=0, test=0, folds=4, fold=fold)
        held_out = collections.Counter(r["label"] for r in rows if found[r["key"]] == "validation")
        assert held_out == {0: 10, 1: 10}


def test_folds_are_as_large_where_classes_are_small():
    rows = [row(n, n) for n in range(12)]
    for fold in range(4):
        found = stratified(rows, train=1, validation=0, test=0, folds=4, fold=fold)
        assert list(found.values()).count("validation") == 3


@pytest.mark.parametrize(
    "shares", [{"folds": 3, "fold": 3}, {"fold": 1}, {"folds": 1}, {"folds": 3, "fold": -1}]
)
def test_folds_that_are_none(shares):
    with pytest.raises(pydantic.ValidationError):
        SplitSettings(**shares)


# === gather ===

SPLITS = ("train", "validation", "test", "extra")


@given(
    st.lists(st.tuples(st.sampled_from(SPLITS), st.sampled_from(["", "", "p", "q", "r"])), max_size=25),
    st.data(),
)
def test_after_gathering_nothing_is_on_both_sides(rows, data):
    keys = [f"k{number}" for number in range(len(rows))]
    groups = st.lists(st.sampled_from(keys), min_size=2, max_size=4, unique=True)
    duplicates = data.draw(st.lists(groups, max_size=4)) if len(keys) > 3 else []
    before = dict(zip(keys, (split for split, _ in rows), strict=True))
    group_of = dict(zip(keys, (group for _, group in rows), strict=True))
    table = pa.table({"key": keys, "split": list(before.values()), "group": list(group_of.values())})
    if not keys:
        table = table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))
    moves = gather(table, duplicates)
    after = before | moves
    assert all(before[key] != split for key, split in moves.items())
    for members in duplicates:
        assert len({after[key] for key in members}) == 1
    for group in set(group_of.values()) - {""}:
        assert len({after[key] for key in keys if group_of[key] == group}) == 1
    linked = {key for members in duplicates for key in members} | {k for k, g in group_of.items() if g}
    assert moves.keys() <= linked
    # What is tested is not learned: a move is towards the test split, never away from it.
    rank = ("test", "validation", "train", "extra").index
    assert all(rank(split) < rank(before[key]) for key, split in moves.items())
    assert set(after.values()) <= set(before.values())


def test_gathered_through_a_chain():
    """a and b are copies, b and c of one group, c and d copies."""
    table = pa.table(
        {
            "key": list("abcde"),
            "split": ["train", "train", "validation", "test", "train"],
            "group": ["", "p", "p", "", ""],
        }
    )
    assert gather(table, [("a", "b"), ("c", "d")]) == dict.fromkeys("abc", "test")
    assert gather(table, []) == {"b": "validation"}
