"""What is known of a part of a split: counts and sketches, by name, that can be merged."""

import collections
import dataclasses
import typing

import numpy as np
import pyarrow as pa

from conveyor.components.statistics_gen.sketch import Sketch, sketch_groups

Key = tuple[typing.Any, ...]

NUMBERS = ("width", "height", "aspect", "bytes", "brightness", "sharpness")
CLASS_NUMBERS = ("width", "height", "aspect", "brightness")
CATEGORIES = ("format", "mode")
COLUMNS = (
    *("label", "width", "height", "bytes", "brightness", "sharpness", "format", "mode"),
    *("pixel_sum", "pixel_square_sum", "objects", "mask_pixels"),
)
GRID = 16  # cells a side of the map of box centres
_LEAST_SIDE = 2.0**-10  # pixels; keeps the aspect of boxes finite


@dataclasses.dataclass
class Summary:
    """Counts, which are whole numbers of any size, and sketches.

    Both are named by tuples: ("width",), ("class", 3, "width"), ("format", "PNG"), …
    """

    counts: collections.Counter[Key] = dataclasses.field(default_factory=collections.Counter)
    sketches: dict[Key, Sketch] = dataclasses.field(default_factory=dict)

    def merge(self, other: "Summary") -> "Summary":
        """Adds all that the other knows; returns itself."""
        self.counts.update(other.counts)
        for key, sketch in other.sketches.items():
            self.sketches.setdefault(key, Sketch()).merge(sketch)
        return self

    def sketch(self, *key: typing.Any) -> Sketch:
        """Returns a sketch; an empty one where there were no values."""
        return self.sketches.get(key, Sketch())

    def named(self, kind: str) -> dict[typing.Any, int]:
        """Returns name -> count of the counts ("kind", name), in order."""
        found = {key[1]: count for key, count in self.counts.items() if key[0] == kind and count}
        return dict(sorted(found.items()))

    def _count(self, kind: str, values: np.ndarray) -> None:
        for value, count in zip(*np.unique(values, return_counts=True), strict=True):
            self.counts[kind, value.item() if isinstance(value, np.generic) else value] += int(count)


def summarise(facts: pa.RecordBatch, channels: int) -> Summary:
    """Summarises rows of facts.

    Args:
        facts: The columns `COLUMNS` of `conveyor.components.facts.FACTS`.
        channels: Channels of the data set; a grey image counts for each.
    """
    summary = Summary()
    simple = ("label", "width", "height", "bytes", "brightness", "sharpness")
    columns = {name: facts.column(name).to_numpy() for name in simple}
    columns["aspect"] = columns["width"] / columns["height"]
    summary.counts["examples",] += len(facts)
    for name in NUMBERS:
        summary.sketches[name,] = Sketch().add(columns[name])
    labelled = columns["label"] >= 0
    labels = columns["label"][labelled]
    summary._count("label", labels)
    for name in CLASS_NUMBERS:
        for label, sketch in sketch_groups(columns[name][labelled], labels).items():
            summary.sketches["class", label, name] = sketch
    for name in CATEGORIES:
        for item in facts.column(name).value_counts().to_pylist():
            summary.counts[name, item["values"]] += item["counts"]
    sizes = columns["width"].astype(np.int64) * columns["height"]
    summary.counts["pixels",] += int(sizes.sum())
    for name in ("pixel_sum", "pixel_square_sum"):
        _add_channels(summary, name, facts.column(name), channels)
    _add_objects(summary, facts.column("objects"), columns["width"], columns["height"])
    _add_masks(summary, facts.column("mask_pixels"))
    return summary


def _flatten(lists: pa.ListArray) -> tuple[pa.Array, np.ndarray]:
    """Returns the items of all lists one after another, and the length of each list."""
    return lists.flatten(), lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)


def _add_channels(summary: Summary, name: str, lists: pa.ListArray, channels: int) -> None:
    items, lengths = _flatten(lists)
    values = items.to_numpy()
    full = np.repeat(lengths == channels, lengths)
    sums = values[full].reshape(-1, channels).sum(0) + values[~full].sum()
    for channel, value in enumerate(sums.tolist()):
        summary.counts[name, channel] += value


def _add_objects(summary: Summary, lists: pa.ListArray, widths: np.ndarray, heights: np.ndarray) -> None:
    items, lengths = _flatten(lists)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    batch = pa.RecordBatch.from_struct_array(items)
    boxes = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in batch.schema.names}
    sides = {name: boxes[name].astype(np.float64) for name in ("x1", "y1", "x2", "y2", "area")}
    size = np.sqrt(np.maximum(sides["area"], 0))
    box_width = np.maximum(sides["x2"] - sides["x1"], _LEAST_SIDE)
    box_height = np.maximum(sides["y2"] - sides["y1"], _LEAST_SIDE)
    numbers = {
        "size": size,
        "relative_size": size / np.sqrt(widths[rows].astype(np.float64) * heights[rows]),
        "aspect": box_width / box_height,
    }
    summary.sketches["objects", "per_image"] = Sketch().add(lengths)
    for name, values in numbers.items():
        summary.sketches["objects", name] = Sketch().add(values)
    labels = boxes["label"]
    for name in ("size", "aspect"):
        for label, sketch in sketch_groups(numbers[name], labels).items():
            summary.sketches["object_class", label, name] = sketch
    summary.counts["objects", "count"] += len(rows)
    summary.counts["objects", "empty_images"] += int((lengths == 0).sum())
    for name in ("crowd", "difficult"):
        summary.counts["objects", name] += int(boxes[name].sum())
    summary._count("object_label", labels)
    pairs = np.unique(np.stack([rows, labels]), axis=1)
    summary._count("object_images", pairs[1])
    column = _cell(sides["x1"] + sides["x2"], widths[rows])
    row = _cell(sides["y1"] + sides["y2"], heights[rows])
    summary._count("position", row * GRID + column)


def _cell(ends: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Returns the cell of the grid that the middle of two ends, given their sum, lies in."""
    return np.clip(ends / 2 / length * GRID, 0, GRID - 1).astype(np.int64)


def _add_masks(summary: Summary, lists: pa.ListArray) -> None:
    items, lengths = _flatten(lists)
    masks = int((lengths > 0).sum())
    if not masks:
        return
    pixels = items.to_numpy().reshape(masks, -1)
    summary.counts["masks",] += masks
    summary.counts["void",] += int(pixels[:, -1].sum())
    for label, column in enumerate(pixels[:, :-1].T):
        summary.counts["mask_pixels", label] += int(column.sum())
        summary.counts["mask_images", label] += int((column > 0).sum())
