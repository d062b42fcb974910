"""What every reader of a source gives, and the registry of readers."""

import importlib
import pathlib
import typing
from collections.abc import Iterator, Sequence

from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.pipeline.errors import UserError, did_you_mean

# Name in `data.source` -> "module:class". A reader of its own: add a module here and one line.
READERS = {
    "coco": "conveyor.components.example_gen.readers.coco:COCOReader",
    "csv": "conveyor.components.example_gen.readers.csv_manifest:CsvManifestReader",
    "digit_scenes": "conveyor.components.example_gen.readers.digit_scenes:DigitScenesReader",
    "digits": "conveyor.components.example_gen.readers.digits:DigitsReader",
    "folder": "conveyor.components.example_gen.readers.folder:FolderReader",
    "masks": "conveyor.components.example_gen.readers.masks:MasksReader",
    "npz": "conveyor.components.example_gen.readers.npz:NpzReader",
    "tfds": "conveyor.components.example_gen.readers.tfds:TFDSReader",
    "tfrecord": "conveyor.components.example_gen.readers.tfrecord:TFRecordReader",
    "voc": "conveyor.components.example_gen.readers.voc:VOCReader",
    "yolo": "conveyor.components.example_gen.readers.yolo:YOLOReader",
}


class Reader(typing.Protocol):
    """A source of labelled images. Made from the part of `data.source` after the colon.

    A reader is sent to workers, so it holds little; a chunk is a small description of some
    examples, the same whatever the number of workers.

    Attributes:
        annotations: What it knows of an image: "label", "objects", "mask".

    One whose source TFDS opens as it is has `in_place`, the name TFDS knows it by, and
    `images(keys)`, which yields keys and encoded images. One with other classes for the pixels of
    masks has `mask_classes()`.
    """

    annotations: frozenset[str]

    def classes(self) -> list[str]:
        """Returns the names of the classes, in label order."""
        ...

    def splits(self) -> set[str]:
        """Returns the splits that the source has."""
        ...

    def fingerprint(self, workspace: pathlib.Path) -> str:
        """Returns a digest of all that would be read."""
        ...

    def chunks(self) -> Sequence[typing.Any]:
        """Returns the work, cut into pieces of which each becomes one shard."""
        ...

    def read(self, chunk: typing.Any) -> Iterator[RawExample]:
        """Yields the examples of a chunk."""
        ...


def open_source(source: str) -> Reader:
    """Returns the reader of a `data.source` such as "digits" or "folder:DIR".

    Raises:
        UserError: No reader has that name.
    """
    name, _, argument = source.partition(":")
    if name not in READERS:
        raise UserError(
            f"data.source: there is no reader {name!r}",
            expected="digits, digit_scenes[:VARIANT], folder:DIR, coco:DIR, voc:DIR, yolo:DIR, masks:DIR,"
            " csv:FILE, npz:FILE, tfrecord:DIR or tfds:NAME",
            received=source,
            fix=did_you_mean(name, READERS),
        )
    module, _, kind = READERS[name].partition(":")
    return getattr(importlib.import_module(module), kind)(argument)


def cut(items: Sequence[typing.Any]) -> list[Sequence[typing.Any]]:
    """Cuts items into chunks: enough for several workers, few enough for large shards.

    The cut depends on nothing but the number of items, so that shards are the same everywhere.
    """
    size = min(max(-(-len(items) // 16), 64), 2000)
    return [items[start : start + size] for start in range(0, len(items), size)]
