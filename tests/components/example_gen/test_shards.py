"""Shards of chunks: written, sorted anew, and named as TFDS knows them."""

import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.readers.tfrecord import read_records
from conveyor.components.example_gen.shards import (
    PARTS,
    ShardSummary,
    _Files,
    move,
    name_shards,
    read_summary,
    unname_shards,
    write_summary,
)
from conveyor.components.facts import FACTS, facts_files, read_facts

SPLITS = ["train", "validation", "test", "extra"]


def artifact(root):
    examples = Examples(pathlib.Path(root))
    for folder in (examples.dataset_dir, examples.facts_dir, examples.path / PARTS):
        folder.mkdir(parents=True)
    return examples


def write_chunk(examples, index, rows, records=True):
    """Writes (key, split) of each example of a chunk."""
    summary = ShardSummary(read=len(rows))
    with _Files(examples, index) as files:
        for key, split in rows:
            record = f"record of {key}".encode()
            facts = {**dict.fromkeys(FACTS.names), "key": key}
            files.write(split, record if records else b"", facts)
            summary.count(split, len(record))
    write_summary(examples, index, summary)


def named(examples, chunks):
    summaries = [read_summary(examples, index) for index in range(chunks)]
    examples.properties["splits"] = name_shards(examples, summaries)
    return summaries


def stored(examples):
    """Returns split -> keys by the facts, after a check that the records are the same."""
    found = {}
    for path in facts_files(examples):
        split, _, number = path.stem.rpartition("-")
        found[split] = read_facts(examples, ["key"], split)["key"].to_pylist()
        assert list(examples.dataset_dir.glob(f"examples-{split}.tfrecord-{number}-of-*"))
    for split, keys in found.items():
        shards = sorted(examples.dataset_dir.glob(f"examples-{split}.tfrecord-*"))
        assert [int(shard.name[-14:-9]) for shard in shards] == list(range(len(shards)))
        assert {int(shard.name[-5:]) for shard in shards} == {len(shards)}
        records = [record.decode() for shard in shards for _, record in read_records(str(shard))]
        assert records == [f"record of {key}" for key in keys]
    return found


def test_names(tmp_path):
    examples = artifact(tmp_path)
    write_chunk(examples, 0, [("a", "train"), ("b", "extra")])
    write_chunk(examples, 1, [])
    write_chunk(examples, 2, [("c", "test"), ("d", "train")])
    summaries = named(examples, 3)
    assert list(examples.properties["splits"].items()) == [("train", 2), ("test", 1), ("extra", 1)]
    assert sorted(path.name for path in examples.dataset_dir.iterdir()) == [
        "examples-extra.tfrecord-00000-of-00001",
        "examples-test.tfrecord-00000-of-00001",
        "examples-train.tfrecord-00000-of-00002",
        "examples-train.tfrecord-00001-of-00002",
    ]
    assert stored(examples) == {"train": ["a", "d"], "test": ["c"], "extra": ["b"]}
    unname_shards(examples, summaries)
    assert sorted(path.name for path in examples.dataset_dir.iterdir()) == [
        "extra.00000", "test.00002", "train.00000", "train.00002",
    ]  # fmt: skip


@given(
    st.lists(st.lists(st.sampled_from(SPLITS), max_size=6), min_size=1, max_size=4),
    st.lists(st.sampled_from(SPLITS), min_size=24, max_size=24),
    st.sets(st.integers(0, 23)),
)
@settings(max_examples=25)
def test_what_moves_takes_its_record_along(tmp_path_factory, chunks, targets, moving):
    """And all else stays; splits may vanish, and others come."""
    examples = artifact(tmp_path_factory.mktemp("shards") / "a")
    before, number = {}, 0
    for index, splits in enumerate(chunks):
        rows = [(f"k{number + place:02d}", split) for place, split in enumerate(splits)]
        number += len(rows)
        before.update(rows)
        write_chunk(examples, index, rows)
    unname_shards(examples, named(examples, len(chunks)))
    moves = {f"k{n:02d}": targets[n] for n in moving if n < number}
    for index in range(len(chunks)):
        move(examples, index, moves)
    summaries = named(examples, len(chunks))
    after = before | moves
    found = stored(examples)
    assert {key: split for split, keys in found.items() for key in keys} == after
    assert examples.properties["splits"] == {split: len(keys) for split, keys in found.items()}
    assert sum(sum(s.sizes.values()) for s in summaries) == number * len("record of k00")
    assert sum(summary.read for summary in summaries) == number
    assert len(list(examples.facts_dir.iterdir())) == len(list(examples.dataset_dir.iterdir()))


def test_facts_alone_stay_in_the_order_of_the_source(tmp_path):
    """As examples in place are read in that order, and not in that in which they came to a split."""
    examples = artifact(tmp_path)
    write_chunk(examples, 0, [(f"k{n}", SPLITS[n % 3]) for n in range(9)], records=False)
    unname_shards(examples, named(examples, 1))
    move(examples, 0, {f"k{n}": "train" for n in range(9) if n != 4})
    named(examples, 1)
    assert read_facts(examples, ["key"], "train")["key"].to_pylist() == [f"k{n}" for n in range(9) if n != 4]
    assert list(examples.dataset_dir.iterdir()) == []


def test_a_summary_is_read_as_it_was_written(tmp_path):
    examples = artifact(tmp_path)
    rows = [{"file": "a", "field": "", "reason": "empty", "detail": "naïve", "action": "set_aside"}]
    summary = ShardSummary(3, {"train": 2}, {"train": 99}, 3, 1, rows)
    write_summary(examples, 7, summary)
    assert read_summary(examples, 7) == summary
    with pytest.raises(FileNotFoundError):
        read_summary(examples, 8)
