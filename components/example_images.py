"""Encoded images of single examples, and their grey pixels, without importing TensorFlow."""

import glob
import io
import pathlib
import typing
from collections.abc import Iterator, Sequence

import numpy as np
import PIL.Image
import pyarrow.parquet
from tensorflow_datasets.proto import tf_example_pb2

from conveyor.components.example_gen.readers.tfds import TFDSReader
from conveyor.components.example_gen.readers.tfrecord import read_records
from conveyor.components.facts import facts_files
from conveyor.pipeline.errors import UserError

SIDE = 128  # pixels: enough to tell copies from images that look alike

if typing.TYPE_CHECKING:
    from conveyor.components.artifacts import Examples


def read_images(examples: "Examples", keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yields key and encoded image of the named examples, in stored order.

    Each shard that holds one of them is read once, from its beginning to the last that is asked for. Of
    data that is used in place, TFDS reads it, with TensorFlow.

    Args:
        examples: The artifact.
        keys: As in the facts; each is yielded once.

    Raises:
        UserError: There is no such example.
    """
    if source := examples.properties.get("in_place"):
        yield from TFDSReader(source).images(keys)
        return
    wanted = set(keys)
    for table in facts_files(examples):
        if not wanted:
            return
        names = pyarrow.parquet.read_table(table, columns=["key"]).column("key").to_pylist()
        rows = {row: name for row, name in enumerate(names) if name in wanted}
        if rows:
            yield from _read(_shard_of(examples, table), rows)
            wanted -= set(rows.values())
    if wanted:
        raise UserError(
            "there is no such example",
            expected="keys of the facts of the same artifact",
            received=", ".join(sorted(wanted)[:5]),
            where=str(examples.facts_dir),
        )


def read_grey(examples: "Examples", keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the grey pixels of the named examples, at most `SIDE` pixels a side, by key."""
    return {key: grey(data, SIDE) for key, data in read_images(examples, keys)}


def grey(data: bytes, limit: int) -> np.ndarray:
    """Returns the grey pixels of an encoded image, reduced to at most `limit` pixels a side.

    Args:
        data: A JPEG or PNG, as artifacts store it.
        limit: At least 1.

    Returns:
        [height, width] uint8.
    """
    image = PIL.Image.open(io.BytesIO(data))
    image.draft("L", (2 * limit, 2 * limit))  # of a JPEG, no more is decoded than is needed
    small = image.convert("L")
    small.thumbnail((limit, limit), PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small)


def _shard_of(examples: "Examples", table: pathlib.Path) -> pathlib.Path:
    """Returns the records whose facts are in `<split>-<number>.parquet`."""
    split, _, number = table.stem.rpartition("-")
    (shard,) = examples.dataset_dir.glob(f"*-{glob.escape(split)}.tfrecord-{number}-of-*")
    return shard


def _read(shard: pathlib.Path, rows: dict[int, str]) -> Iterator[tuple[str, bytes]]:
    last = max(rows)
    for row, (_, record) in enumerate(read_records(str(shard))):
        if row in rows:
            example = tf_example_pb2.Example.FromString(record)
            yield rows[row], example.features.feature["image"].bytes_list.value[0]
        if row == last:
            return
