"""Reads a source into TFRecord shards with Beam: one chunk of the source, one shard a split."""

import collections
import functools
import json
import shutil
import typing

from absl import logging

from conveyor.components.artifacts import Examples
from conveyor.components.beam import for_each
from conveyor.components.example_gen.convert import Classes, Converter
from conveyor.components.example_gen.distort import with_distortion
from conveyor.components.example_gen.metadata import write_metadata
from conveyor.components.example_gen.readers.reader import Reader, open_source
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.example_gen.shards import (
    ERROR,
    PARTS,
    PREVIEWS,
    ShardSummary,
    ShardWriter,
    move,
    name_shards,
    read_summary,
    unname_shards,
)
from conveyor.components.example_gen.splits import LEAKS, STRATA, Splitter, gather
from conveyor.components.facts import read_facts
from conveyor.pipeline.errors import ConveyorError, GateError, UserError

_PREVIEWS_EACH = 6  # a reason
_BACKGROUND = "background"  # with objects: the pixels of none


def ingest(examples: Examples, settings: ExampleGenSettings) -> None:
    """Fills an Examples artifact from `settings.source`.

    Raises:
        UserError: The source cannot be read, or names no class.
        GateError: Not one image can be used.
    """
    reader = with_distortion(open_source(settings.source), settings)
    classes = _classes(reader, settings.source)
    chunks = list(enumerate(reader.chunks()))
    work = _Work(examples, reader, classes, chunks, settings)
    in_place = getattr(reader, "in_place", "")
    if not (in_place and work.run(records=False)):
        in_place = ""
        work.run(records=True)
    rows = work.quarantine
    set_aside = sum(row["action"] == "set_aside" for row in rows)
    if not work.counts:
        raise GateError(
            "not one image of the source can be used",
            received=f"{work.read} files; the first: {json.dumps(rows[:1])[1:-1]}",
            where=settings.source,
        )
    channels = max(summary.channels for summary in work.summaries)
    if not in_place:
        folder = examples.dataset_dir
        write_metadata(folder, reader.annotations, classes, channels, work.summaries, work.counts)
    examples.properties.update(
        splits=work.counts,
        classes=classes.labels,
        mask_classes=classes.mask,
        annotations=sorted(reader.annotations),
        channels=channels,
        read=work.read,
        quarantined=set_aside,
        faults=len(rows) - set_aside,
        summary={"quarantined": set_aside},
    )


def _classes(reader: Reader, source: str) -> Classes:
    """Returns the names of classes; with objects, the first class of masks is what is no object."""
    labels = reader.classes()
    if not labels:
        raise UserError(
            "data.source: there are no classes",
            expected="annotations that name at least one class",
            where=source,
            fix="check that images and their annotations are there",
        )
    _check_names(labels, source)
    if "mask" not in reader.annotations:
        return Classes(labels, [])
    if hasattr(reader, "mask_classes"):
        return Classes(labels, reader.mask_classes())
    return Classes(labels, [_BACKGROUND, *labels] if "objects" in reader.annotations else labels)


class _Work:
    """One source on its way into an artifact."""

    def __init__(
        self,
        examples: Examples,
        reader: Reader,
        classes: Classes,
        chunks: list[tuple[int, typing.Any]],
        settings: ExampleGenSettings,
    ):
        self.examples = examples
        self.reader = reader
        self.chunks = chunks
        self.settings = settings
        self.converter = Converter(reader.annotations, classes, settings)
        self.splitter = Splitter(reader.splits(), settings.splits)
        self.summaries: list[ShardSummary] = []
        self.counts: dict[str, int] = {}
        self.quarantine: list[dict[str, str]] = []

    @property
    def read(self) -> int:
        return sum(summary.read for summary in self.summaries)

    def run(self, *, records: bool) -> bool:
        """Reads all chunks; sorts examples anew where their splits depend on one another.

        Args:
            records: Whether to copy the examples, or to write facts about them only.

        Returns:
            Whether that will do: False for facts about images that may not be stored as they are.
        """
        examples, parts = self.examples, self.examples.path / PARTS
        examples.properties = {} if records else {"in_place": self.reader.in_place}  # type: ignore[attr-defined]
        for folder in (parts, examples.path / PREVIEWS, examples.dataset_dir, examples.facts_dir):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        writer = ShardWriter(self.reader, self.converter, self.splitter, examples.path, records)
        try:
            for_each(self.settings.beam, self.chunks, writer, alone=hasattr(self.reader, "in_place"))
        except RuntimeError:
            if (error := parts / ERROR).exists():
                raise ConveyorError.from_dict(json.loads(error.read_text(encoding="utf-8"))) from None
            raise
        self._collect()
        changed = sum(summary.changed for summary in self.summaries)
        if changed and not records:
            told = "%s is copied, as it cannot be used in place: %d images or their annotations are changed"
            logging.info(told, self.settings.source, changed)
            return False
        if self.settings.splits.stratify:
            self._move(self.splitter.stratify(read_facts(examples, STRATA)))
        if self.settings.resplit:
            self._move(self._gathered())
        shutil.rmtree(parts)
        self._write_quarantine()
        return True

    def _collect(self) -> None:
        """Takes in what the chunks came to, and gives their files names."""
        self.summaries = [read_summary(self.examples, index) for index, _ in self.chunks]
        self.counts = self.examples.properties["splits"] = name_shards(self.examples, self.summaries)

    def _move(self, splits: dict[str, str]) -> None:
        unname_shards(self.examples, self.summaries)
        for index, _ in self.chunks:
            move(self.examples, index, splits)
        self._collect()

    def _gathered(self) -> dict[str, str]:
        from conveyor.components.example_images import read_grey
        from conveyor.components.leaks.duplicates import find_duplicates

        table = read_facts(self.examples, LEAKS)
        found = find_duplicates(table, functools.partial(read_grey, self.examples))
        return gather(table, [group.keys for group in found.groups])

    def _write_quarantine(self) -> None:
        """Writes what was set aside, in order, with a few pictures of each reason."""
        rows = [row for summary in self.summaries for row in summary.quarantine]
        rows.sort(key=lambda row: (row["file"], row["field"], row["reason"], row["detail"]))
        shown: collections.Counter[str] = collections.Counter()
        for row in rows:
            if "preview" in row:
                shown[row["reason"]] += 1
                if shown[row["reason"]] > _PREVIEWS_EACH:
                    (self.examples.path / row.pop("preview")).unlink()
        lines = [json.dumps(row, sort_keys=True) + "\n" for row in rows]
        self.examples.quarantine_file.write_text("".join(lines), encoding="utf-8")
        self.quarantine = rows


def _check_names(classes: list[str], source: str) -> None:
    """A TFDS data set keeps class names as lines of a file, without spaces around them."""
    kept = collections.Counter(name.strip() for name in classes)
    odd = [name for name in classes if name.strip().splitlines() != [name.strip()] or kept[name.strip()] > 1]
    if odd:
        raise UserError(
            "class names that cannot be kept apart",
            expected="names of one line that differ in more than spaces around them",
            received=", ".join(map(repr, odd)),
            where=source,
            fix="rename these classes",
        )
