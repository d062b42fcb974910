"""Reads a source into TFRecord shards with Beam: one chunk of the source, one shard a split."""

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import typing

import pyarrow as pa
import pyarrow.parquet

from conveyor.components.artifacts import Examples
from conveyor.components.beam import beam, beam_pipeline
from conveyor.components.example_gen.images import RejectedError, measure
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import Reader, open_source
from conveyor.components.example_gen.records import serialize, write_record
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.example_gen.splits import assign
from conveyor.pipeline.errors import GateError, UserError

_SAMPLE = 8  # images whose sizes tell whether threads help
_LARGE = 16_000  # bytes
DATASET = "examples"
_SPLIT_ORDER = ("train", "validation", "test")
FACTS = pa.schema(
    [
        ("key", pa.string()),
        ("label", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("brightness", pa.float32()),
        ("pixel_sum", pa.list_(pa.int64())),
        ("pixel_square_sum", pa.list_(pa.int64())),
        ("content_hash", pa.string()),
    ]
)


@dataclasses.dataclass
class ShardSummary:
    """What one chunk came to.

    Args:
        read: Number of examples read.
        counts: Split -> number of examples kept.
        sizes: Split -> bytes of the records.
        channels: Most channels of any image.
        labels: Class -> number of examples kept.
        quarantined: `file`, `reason`, `detail` of each example set aside.
    """

    read: int = 0
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    channels: int = 1
    labels: dict[str, int] = dataclasses.field(default_factory=dict)
    quarantined: list[dict[str, str]] = dataclasses.field(default_factory=list)


def ingest(examples: Examples, settings: ExampleGenSettings) -> None:
    """Fills an Examples artifact from `settings.source`.

    Raises:
        UserError: There are too few classes, or too few images of one.
        GateError: Not one image can be used.
    """
    reader = open_source(settings.source)
    if "label" not in reader.annotations:
        raise UserError(
            "data.source: the source has no class for each image",
            expected="a class for each image, which the task needs",
            received=", ".join(sorted(reader.annotations)),
            where=settings.source,
        )
    classes = reader.classes()
    _check_names(classes, settings.source)
    chunks = list(enumerate(reader.chunks()))
    work = examples.path / "parts"
    for folder in (work, examples.dataset_dir, examples.facts_dir):
        folder.mkdir()
    writer = _ShardWriter(reader, classes, reader.splits(), settings, str(examples.path))
    with beam_pipeline(settings.beam, _threads(reader, chunks)) as pipeline:
        _ = pipeline | beam.Create(chunks) | beam.ParDo(writer)
    summaries = [_take_summary(work / f"{index:05d}.json") for index, _ in chunks]
    work.rmdir()
    quarantined = sorted((row for s in summaries for row in s.quarantined), key=lambda row: row["file"])
    lines = [json.dumps(row, sort_keys=True) + "\n" for row in quarantined]
    examples.quarantine_file.write_text("".join(lines), encoding="utf-8")
    counts = _name_shards(examples, summaries)
    if not counts:
        raise GateError(
            "not one image of the source can be used",
            received=f"{len(quarantined)} files; the first: {json.dumps(quarantined[:1])[1:-1]}",
            where=settings.source,
        )
    read = sum(summary.read for summary in summaries)
    if len(quarantined) / read <= settings.max_quarantine:  # else the data is stopped for that
        _check_classes(classes, summaries, settings.source)
    channels = max(summary.channels for summary in summaries)
    _write_metadata(examples, classes, channels, summaries, counts)
    examples.properties.update(
        splits=counts,
        classes=classes,
        channels=channels,
        read=read,
        quarantined=len(quarantined),
        summary={"quarantined": len(quarantined)},
    )


def _threads(reader: Reader, chunks: list[tuple[int, typing.Any]]) -> int:
    """Returns a thread a core, but one for small images: their decoding never lets go of Python's lock."""
    raws = (raw for _, chunk in chunks[:1] for raw in reader.read(chunk))
    sizes = [len(raw.data or b"") for raw in itertools.islice(raws, _SAMPLE)]
    return os.cpu_count() or 1 if sum(sizes) > _LARGE * len(sizes) else 1


class _ShardWriter(beam.DoFn):
    """Writes one chunk: a TFRecord shard and a table of facts for each split, and a summary."""

    def __init__(
        self,
        reader: Reader,
        classes: list[str],
        splits: set[str],
        settings: ExampleGenSettings,
        root: str,
    ):
        self.reader = reader
        self.labels = {name: label for label, name in enumerate(classes)}
        self.splits = splits
        self.settings = settings
        self.root = root

    def process(self, element: tuple[int, typing.Any]) -> typing.Iterator[int]:
        index, chunk = element
        artifact = Examples(pathlib.Path(self.root))
        summary = ShardSummary()
        facts: dict[str, list[dict[str, typing.Any]]] = {}
        with contextlib.ExitStack() as stack:
            files: dict[str, typing.BinaryIO] = {}
            for raw in self.reader.read(chunk):
                summary.read += 1
                try:
                    split, record, row = self._convert(raw)
                except RejectedError as no:
                    summary.quarantined.append({"file": raw.key, "reason": no.reason, "detail": no.detail})
                    continue
                if split not in files:
                    path = artifact.dataset_dir / f"{split}.{index:05d}"
                    files[split] = stack.enter_context(open(path, "wb", buffering=1 << 20))
                write_record(files[split], record)
                facts.setdefault(split, []).append(row)
                summary.channels = max(summary.channels, len(row["pixel_sum"]))
                summary.labels[raw.label] = summary.labels.get(raw.label, 0) + 1
                summary.counts[split] = summary.counts.get(split, 0) + 1
                summary.sizes[split] = summary.sizes.get(split, 0) + len(record)
        for split, rows in facts.items():
            table = pa.Table.from_pylist(rows, FACTS)
            pyarrow.parquet.write_table(table, artifact.facts_dir / f"{split}.{index:05d}")
        text = json.dumps(dataclasses.asdict(summary))
        (artifact.path / "parts" / f"{index:05d}.json").write_text(text, encoding="utf-8")
        yield index

    def _convert(self, raw: RawExample) -> tuple[str, bytes, dict[str, typing.Any]]:
        """Returns split, serialised example and facts of one image."""
        if raw.data is None:
            raise RejectedError(raw.reason, raw.error)
        if raw.faults:  # what is wrong is with the label or the split: neither can be trusted
            raise RejectedError(raw.faults[0].reason, raw.faults[0].detail)
        if raw.label not in self.labels:
            raise RejectedError("unknown_class", f"class {raw.label!r}")
        image = measure(raw.data, self.settings.max_pixels)
        content_hash = hashlib.sha256(raw.data).hexdigest()[:32]
        # all of a group have one position, so that they are never in two splits
        position = hashlib.sha256(raw.group.encode()).hexdigest() if raw.group else content_hash
        split = assign(raw.split, position, self.splits, self.settings.splits)
        label = self.labels[raw.label]
        record = serialize({"image": image.data, "label": label, "id": raw.key.encode()})
        row = {
            "key": raw.key,
            "label": label,
            "width": image.width,
            "height": image.height,
            "bytes": len(image.data),
            "format": image.format,
            "mode": image.mode,
            "brightness": image.brightness,
            "pixel_sum": image.pixel_sum,
            "pixel_square_sum": image.pixel_square_sum,
            "content_hash": content_hash,
        }
        return split, record, row


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


def _check_classes(classes: list[str], summaries: list[ShardSummary], source: str) -> None:
    """A class needs an example to learn from and another to be judged by."""
    counts = {name: sum(summary.labels.get(name, 0) for summary in summaries) for name in classes}
    if few := {name: count for name, count in counts.items() if count < 2}:
        raise UserError(
            f"class {', '.join(repr(name) for name in few)}: fewer than two usable images",
            expected="at least two images in every class folder, and many more to learn from",
            received=", ".join(f"{name}: {count}" for name, count in few.items()),
            where=source,
            fix="add images, or remove the folder",
        )
    if len(counts) < 2:
        raise UserError(
            "there is only one class, so there is nothing to tell apart",
            expected="two class folders or more",
            received=", ".join(counts),
            where=source,
        )


def _take_summary(path: pathlib.Path) -> ShardSummary:
    summary = ShardSummary(**json.loads(path.read_text(encoding="utf-8")))
    path.unlink()
    return summary


def _name_shards(examples: Examples, summaries: list[ShardSummary]) -> dict[str, int]:
    """Gives shards the names TFDS knows; returns split -> number of examples, train first."""
    found = {split for summary in summaries for split in summary.counts}
    order = [s for s in _SPLIT_ORDER if s in found] + sorted(found - set(_SPLIT_ORDER))
    for split in order:
        indices = [index for index, summary in enumerate(summaries) if split in summary.counts]
        for number, index in enumerate(indices):
            shard = f"{DATASET}-{split}.tfrecord-{number:05d}-of-{len(indices):05d}"
            os.rename(examples.dataset_dir / f"{split}.{index:05d}", examples.dataset_dir / shard)
            facts = examples.facts_dir / f"{split}-{number:05d}.parquet"
            os.rename(examples.facts_dir / f"{split}.{index:05d}", facts)
    return {split: sum(summary.counts.get(split, 0) for summary in summaries) for split in order}


def _write_metadata(
    examples: Examples,
    classes: list[str],
    channels: int,
    summaries: list[ShardSummary],
    counts: dict[str, int],
) -> None:
    """Writes what `tfds.builder_from_directory` needs."""
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, channels)),
            "label": tfds.features.ClassLabel(names=classes),
            "id": tfds.features.Text(),
        }
    )
    template = tfds.core.ShardedFileTemplate(
        data_dir=examples.dataset_dir, dataset_name=DATASET, filetype_suffix="tfrecord"
    )
    infos = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[s.counts[split] for s in summaries if split in s.counts],
            num_bytes=sum(s.sizes.get(split, 0) for s in summaries),
            filename_template=template.replace(split=split),
        )
        for split in counts
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=examples.dataset_dir,
        features=features,
        split_infos=infos,
        filename_template=template,
        check_data=False,  # every image was decoded when it was written; the check imports TensorFlow
    )
