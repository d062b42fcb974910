"""Writes one chunk of a source: a TFRecord shard and a table of facts for each split, and a summary."""

import contextlib
import dataclasses
import json
import os
import pathlib
import typing
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.convert import Converted, Converter, preview
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import Reader
from conveyor.components.example_gen.readers.tfrecord import read_records
from conveyor.components.example_gen.records import write_record
from conveyor.components.example_gen.splits import Splitter
from conveyor.components.facts import FACTS
from conveyor.pipeline.errors import ConveyorError

DATASET = "examples"
PARTS = "parts"
ERROR = "error.json"  # of a worker, beside the summaries
PREVIEWS = "previews"
SPLIT_ORDER = ("train", "validation", "test")
_PREVIEWS_EACH = 2  # a reason and chunk


@dataclasses.dataclass
class ShardSummary:
    """What one chunk came to.

    Args:
        read: Number of examples read.
        counts: Split -> number of examples kept.
        sizes: Split -> bytes of the records.
        channels: Most channels of any image.
        changed: Number of examples stored otherwise than as the source has them.
        quarantine: Rows as in `Examples.quarantine_file`.
    """

    read: int = 0
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    channels: int = 1
    changed: int = 0
    quarantine: list[dict[str, str]] = dataclasses.field(default_factory=list)

    def count(self, split: str, size: int) -> None:
        """Counts an example of a split, with the bytes of its record."""
        self.counts[split] = self.counts.get(split, 0) + 1
        self.sizes[split] = self.sizes.get(split, 0) + size


class ShardWriter:
    """Writes chunks, each a pair of a number and what the reader calls a chunk.

    Args:
        reader: The source.
        converter: Makes examples of its images.
        splitter: Tells their splits.
        root: Directory of the Examples artifact.
        records: Whether to write records, or facts only.
    """

    def __init__(
        self, reader: Reader, converter: Converter, splitter: Splitter, root: pathlib.Path, records: bool
    ):
        self.reader = reader
        self.converter = converter
        self.splitter = splitter
        self.root = str(root)
        self.records = records

    def __call__(self, element: tuple[int, typing.Any]) -> None:
        try:
            self._write(*element)
        except ConveyorError as error:  # Beam makes a text of it
            told = pathlib.Path(self.root) / PARTS / ERROR
            told.write_text(json.dumps(error.to_dict()), encoding="utf-8")
            raise

    def _write(self, index: int, chunk: typing.Any) -> None:
        artifact = Examples(pathlib.Path(self.root))
        summary = ShardSummary()
        with _Files(artifact, index) as files:
            for raw in self.reader.read(chunk):
                summary.read += 1
                found = self.converter.convert(raw)
                if found.faults:
                    self._report(artifact, index, raw, found, summary)
                if not found.facts:
                    continue
                split = self.splitter.assign(found.facts)
                files.write(split, found.record if self.records else b"", found.facts)
                summary.count(split, len(found.record))
                summary.changed += not found.as_is
                summary.channels = max(summary.channels, len(found.facts["pixel_sum"]))
        write_summary(artifact, index, summary)

    def _report(
        self, artifact: Examples, index: int, raw: RawExample, found: Converted, summary: ShardSummary
    ) -> None:
        """Adds what is wrong to the summary, with a picture for the first of each reason."""
        shown: dict[str, int] = {}
        for row in summary.quarantine:
            shown[row["reason"]] = shown.get(row["reason"], 0) + ("preview" in row)
        rows = [
            {
                "file": raw.key,
                "field": fault.field,
                "reason": fault.reason,
                "detail": fault.detail,
                "action": fault.action,
            }
            for fault in found.faults
        ]
        if fresh := [row for row in rows if shown.get(row["reason"], 0) < _PREVIEWS_EACH]:
            picture = preview(raw, found.faults, self.converter.settings.max_pixels)
            if picture:
                name = f"{PREVIEWS}/{index:05d}-{summary.read:05d}.jpg"
                (artifact.path / name).write_bytes(picture)
                fresh[0]["preview"] = name
        summary.quarantine += rows


class _Files:
    """The files of a chunk, opened when a split's first example comes."""

    def __init__(self, artifact: Examples, index: int):
        self._artifact = artifact
        self._index = index
        self._stack = contextlib.ExitStack()
        self._records: dict[str, typing.BinaryIO] = {}
        self._facts: dict[str, list[dict[str, typing.Any]]] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for split, rows in self._facts.items():
            columns = {name: [row[name] for row in rows] for name in FACTS.names}  # 60 x faster than rows
            table = pa.Table.from_pydict(columns, FACTS)
            pyarrow.parquet.write_table(table, facts_part(self._artifact, split, self._index))

    def write(self, split: str, record: bytes, facts: dict[str, typing.Any]) -> None:
        if record:
            if split not in self._records:
                path = records_part(self._artifact, split, self._index)
                self._records[split] = self._stack.enter_context(path.open("wb", buffering=1 << 20))
            write_record(self._records[split], record)
        self._facts.setdefault(split, []).append(facts)


def move(artifact: Examples, index: int, splits: Mapping[str, str]) -> None:
    """Sorts the examples of a chunk anew.

    Args:
        artifact: Being written.
        index: Of the chunk.
        splits: Key -> split, of examples that move.
    """
    summary = read_summary(artifact, index)
    rows: list[tuple[dict[str, typing.Any], str]] = []
    records: dict[str, pathlib.Path] = {}
    for split in summary.counts:
        path = facts_part(artifact, split, index)
        rows += [(row, split) for row in pyarrow.parquet.read_table(path).to_pylist()]
        path.unlink()
        source = records_part(artifact, split, index)
        if source.exists():
            records[split] = source.rename(source.with_name(f"{source.name}.old"))
    if not records:  # facts are in the order of the source, in which its examples are read in place
        rows.sort(key=lambda pair: pair[0]["key"])
    stored = {split: read_records(str(path)) for split, path in records.items()}
    summary.counts, summary.sizes = {}, {}
    with _Files(artifact, index) as files:
        for row, split in rows:
            target = splits.get(row["key"], split)
            record = next(stored[split])[1] if records else b""
            files.write(target, record, row)
            summary.count(target, len(record))
    for path in records.values():
        path.unlink()
    write_summary(artifact, index, summary)


def records_part(artifact: Examples, split: str, index: int) -> pathlib.Path:
    """Where the records of a chunk are until the shards get their names."""
    return artifact.dataset_dir / f"{split}.{index:05d}"


def facts_part(artifact: Examples, split: str, index: int) -> pathlib.Path:
    """Where the facts of a chunk are until the tables get their names."""
    return artifact.facts_dir / f"{split}.{index:05d}"


def write_summary(artifact: Examples, index: int, summary: ShardSummary) -> None:
    """Writes what one chunk came to."""
    text = json.dumps(dataclasses.asdict(summary))
    (artifact.path / PARTS / f"{index:05d}.json").write_text(text, encoding="utf-8")


def read_summary(artifact: Examples, index: int) -> ShardSummary:
    """Returns what one chunk came to."""
    text = (artifact.path / PARTS / f"{index:05d}.json").read_text(encoding="utf-8")
    return ShardSummary(**json.loads(text))


def name_shards(artifact: Examples, summaries: list[ShardSummary]) -> dict[str, int]:
    """Gives shards the names TFDS knows; returns split -> number of examples, train first."""
    for part, final in _names(artifact, summaries):
        if part.exists():
            os.rename(part, final)
    splits = _splits(summaries)
    return {split: sum(summary.counts.get(split, 0) for summary in summaries) for split in splits}


def unname_shards(artifact: Examples, summaries: list[ShardSummary]) -> None:
    """Undoes `name_shards`."""
    for part, final in _names(artifact, summaries):
        if final.exists():
            os.rename(final, part)


def _splits(summaries: list[ShardSummary]) -> list[str]:
    found = {split for summary in summaries for split in summary.counts}
    return [s for s in SPLIT_ORDER if s in found] + sorted(found - set(SPLIT_ORDER))


def _names(artifact: Examples, summaries: list[ShardSummary]) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Yields the first and the last name of each file."""
    for split in _splits(summaries):
        indices = [index for index, summary in enumerate(summaries) if split in summary.counts]
        for number, index in enumerate(indices):
            shard = f"{DATASET}-{split}.tfrecord-{number:05d}-of-{len(indices):05d}"
            yield artifact.dataset_dir / f"{split}.{index:05d}", artifact.dataset_dir / shard
            facts = artifact.facts_dir / f"{split}-{number:05d}.parquet"
            yield artifact.facts_dir / f"{split}.{index:05d}", facts
