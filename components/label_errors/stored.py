"""Stored images with their masks, read in the order they are stored in."""

import pathlib
from collections.abc import Collection, Iterator

import pyarrow.parquet
from tensorflow_datasets.proto import tf_example_pb2

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.readers.tfrecord import read_records
from conveyor.components.facts import facts_files, split_of


def read_masked(examples: Examples, keys: Collection[str]) -> Iterator[tuple[str, bytes, bytes]]:
    """Yields key, encoded image and encoded mask of the examples with these keys, which have one.

    Each shard that holds one of them is read once.
    """
    wanted = set(keys)
    for table in facts_files(examples):
        names = pyarrow.parquet.read_table(table, columns=["key"])["key"].to_pylist()
        if wanted.isdisjoint(names):
            continue
        for key, (_, data) in zip(names, read_records(str(_shard_of(examples, table))), strict=True):
            if key in wanted:
                features = tf_example_pb2.Example.FromString(data).features.feature
                image, mask = (features[name].bytes_list.value[0] for name in ("image", "segmentation_mask"))
                yield key, image, mask


def _shard_of(examples: Examples, table: pathlib.Path) -> pathlib.Path:
    """Returns the records that a table of facts is about: its rows are in their order."""
    number = table.stem.rpartition("-")[2]
    (shard,) = examples.dataset_dir.glob(f"*-{split_of(table)}.tfrecord-{number}-of-*")
    return shard
