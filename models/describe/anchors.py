"""Whether a detector's anchors suit the boxes that it is to find: told before any training."""

import dataclasses
import typing
from collections.abc import Iterator, Sequence

import numpy as np

from conveyor.models.metrics.detection.matches import AREAS
from conveyor.models.metrics.detection.objects import Truth

Document = dict[str, typing.Any]

_MOST = 5000  # boxes that are looked at: every second, third, … of more
_PAIRS = 1 << 22  # of a box and an anchor, at a time
_SIZES = {"s": "small", "m": "medium", "l": "large"}  # COCO's, here in pixels of the model's input
_ENOUGH = 0.5  # share of a class's boxes that anchors must overlap by an IoU of 0.5


@dataclasses.dataclass(frozen=True)
class Overlaps:
    """How well anchors overlap some boxes.

    Args:
        best: float32 [n], the largest IoU of each box with an anchor.
        level: int [n], of that anchor.
        positives: int [n], anchors that overlap it enough to be trained on it; at least 1, the best.
    """

    best: np.ndarray
    level: np.ndarray
    positives: np.ndarray


def overlaps(levels: Sequence[np.ndarray], boxes: np.ndarray, positive: float) -> Overlaps:
    """Returns how well anchors overlap boxes.

    Args:
        levels: Anchors of each level, float32 [a, 4], xyxy in pixels.
        boxes: float [n, 4], likewise.
        positive: IoU from which an anchor is trained to find a box.
    """
    best = np.zeros((len(levels), len(boxes)), np.float32)
    positives = np.zeros(len(boxes), np.int64)
    for number, anchors in enumerate(levels):
        step = max(1, _PAIRS // len(anchors))
        for at in range(0, len(boxes), step):
            part = slice(at, at + step)
            found = _iou(boxes[part].astype(np.float32), anchors)
            best[number, part] = found.max(1)
            positives[part] += (found >= positive).sum(1)
    level = best.argmax(0) if len(boxes) else np.zeros(0, np.int64)
    return Overlaps(best.max(0, initial=0.0), level, np.maximum(positives, 1))


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low = np.maximum(a[:, None, :2], b[:, :2])
    shared = np.maximum(np.minimum(a[:, None, 2:], b[:, 2:]) - low, 0.0).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b))
    return shared / np.maximum(area_a[:, None] + area_b - shared, 1e-9)


def anchor_report(
    levels: Sequence[np.ndarray],
    objects: Truth,
    classes: Sequence[str],
    positive: float = 0.5,
    rows: Sequence[Document] = (),
) -> Document | None:
    """Returns how well anchors suit the boxes of the training split.

    Args:
        levels: Anchors of each level, float32 [a, 4], xyxy in pixels of the model's input.
        objects: In the same pixels; crowds are left out.
        classes: Names of the classes, in label order.
        positive: IoU from which an anchor is trained to find a box.
        rows: The model's layer table, for receptive fields.

    Returns:
        `classes` and `sizes`, each a list of {`name`, `boxes`, `recall_50`, `recall_70` (share of the boxes
        that an anchor overlaps by an IoU of 0.5 or 0.7), `positives` (mean number of anchors that are
        trained to find a box)}; `levels`, each {`stride`, `anchors`, `boxes` (whose best anchor it has),
        `median` (of their longer sides, in pixels), `receptive_field` (in pixels, or None)}. None where
        there are no anchors or no boxes.
    """
    kept = np.flatnonzero(~objects.crowd)
    kept = kept[:: max(1, -(-len(kept) // _MOST))]
    if not len(levels) or not len(kept):
        return None
    boxes, labels, areas = objects.box[kept], objects.label[kept], objects.extent[kept]
    found = overlaps(levels, boxes, positive)
    ranges = {_SIZES[size]: AREAS[size] for size in _SIZES}
    of_classes = [(name, labels == label) for label, name in enumerate(classes)]
    of_sizes = [(name, (areas >= low) & (areas < high)) for name, (low, high) in ranges.items()]
    return {
        "classes": [_row(name, chosen, found) for name, chosen in of_classes if chosen.any()],
        "sizes": [_row(name, chosen, found) for name, chosen in of_sizes if chosen.any()],
        "levels": list(_levels(levels, boxes, found.level, rows)),
    }


def _row(name: str, chosen: np.ndarray, found: Overlaps) -> Document:
    best = found.best[chosen]
    return {
        "name": name,
        "boxes": int(chosen.sum()),
        "recall_50": float((best >= 0.5).mean()),
        "recall_70": float((best >= 0.7).mean()),
        "positives": float(found.positives[chosen].mean()),
    }


def _levels(
    levels: Sequence[np.ndarray], boxes: np.ndarray, level: np.ndarray, rows: Sequence[Document]
) -> Iterator[Document]:
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
    for number, anchors in enumerate(levels):
        own, stride = sides[level == number], _stride(anchors)
        yield {
            "stride": stride,
            "anchors": len(anchors),
            "boxes": len(own),
            "median": float(np.median(own)) if len(own) else None,
            "receptive_field": _field(rows, stride),
        }


def _stride(anchors: np.ndarray) -> int:
    """Returns the pixels from a place to the next."""
    centers = np.unique(((anchors[:, 0] + anchors[:, 2]) / 2).round(3))
    return round(float(np.diff(centers).min())) if len(centers) > 1 else round(2 * float(centers[0]))


def _field(rows: Sequence[Document], stride: int) -> float | None:
    """Returns what the last map whose places are so far apart sees: the head's, where there is one."""
    fields = [_most(row["receptive_field"]) for row in rows if row["jump"] and _most(row["jump"]) == stride]
    return next((field for field in reversed(fields) if field is not None), None)


def _most(value: typing.Any) -> typing.Any:
    return max(value) if isinstance(value, list) else value


def anchor_advice(report: Document | None) -> list[str]:
    """Returns sentences on what does not suit; first the classes that can hardly be learnt."""
    if report is None:
        return []
    found = anchor_warnings(report)
    for row in report["levels"]:
        if not row["boxes"] and len(report["levels"]) > 1:
            found.append(
                f"No box is found best by the {row['anchors']:,} anchors of stride {row['stride']}: leave"
                " that level out (model.finest, model.coarsest), or let shapes fit the data"
                " (model.anchors=auto)."
            )
        elif row["median"] and row["receptive_field"] and row["receptive_field"] < row["median"]:
            found.append(
                f"The places of stride {row['stride']} see {row['receptive_field']:g} px, and the boxes that"
                f" they are to find are {row['median']:.0f} px long: more convolutions before it, or a"
                " pyramid."
            )
    return found


def anchor_warnings(report: Document | None) -> list[str]:
    """Returns a sentence on each class of which anchors overlap less than half of the boxes enough."""
    return [
        f"Only {row['recall_50']:.0%} of the {row['boxes']:,} boxes of {row['name']} overlap an anchor by an"
        " IoU of 0.5: let shapes fit the data (model.anchors=auto), begin with a finer level (model.finest),"
        " or enlarge the images (transform.size)."
        for row in (report or {"classes": []})["classes"]
        if row["recall_50"] < _ENOUGH
    ]


def anchor_plot(report: Document) -> Document:
    """Returns best possible recalls as a plot, by class and by size."""
    rows = [*report["classes"], *report["sizes"]]
    groups = {f"IoU {at / 100:g}": {row["name"]: row[f"recall_{at}"] for row in rows} for at in (50, 70)}
    return {
        "kind": "counts",
        "title": "Best possible recall of the anchors",
        "caption": "Share of the training boxes that an anchor overlaps by an IoU of 0.5 or 0.7, before its"
        " offsets are learnt; small, medium and large as of COCO, in pixels of the model's input.",
        "x": "recall",
        "y": "boxes",
        "shares": True,
        "groups": groups,
    }
