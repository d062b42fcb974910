"""Objects as columns: what is in the images, and what a detector says."""

import dataclasses
from collections.abc import Callable

import numpy as np

# IoU of pairs: rows of the detections, rows of the truth, whether the true one is a crowd
Overlap = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Truth:
    """The true objects of some images, one row each.

    Args:
        image: int [g], index of the image.
        label: int [g], index of the class.
        box: float64 [g, 4], left, top, right, bottom in pixels.
        area: float64 [g], square pixels: what small, medium and large are told by. COCO's is the
            area of the outline; the box's if there is none.
        extent: float64 [g], width x height of the box, as IoU needs it.
        crowd: bool [g], whether it stands for many objects: COCO's `iscrowd`.
        difficult: bool [g], Pascal VOC's.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    area: np.ndarray
    extent: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray

    @staticmethod
    def of(
        image: np.ndarray,
        label: np.ndarray,
        box: np.ndarray,
        area: np.ndarray | None = None,
        crowd: np.ndarray | None = None,
        difficult: np.ndarray | None = None,
    ) -> "Truth":
        """Returns checked columns; fills in what is not told.

        Raises:
            ValueError: A box is not finite or has its sides the wrong way round.
        """
        box = _boxes(box)
        extent, no = _extent(box), np.zeros(len(box), bool)
        return Truth(
            np.asarray(image, np.int64),
            np.asarray(label, np.int64),
            box,
            extent if area is None else np.asarray(area, np.float64),
            extent,
            no if crowd is None else np.asarray(crowd, bool),
            no if difficult is None else np.asarray(difficult, bool),
        )


@dataclasses.dataclass(frozen=True)
class Detections:
    """What a detector says, one row a detection; columns as in `Truth`.

    Args:
        score: float64 [d], finite; only their order matters.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray
    area: np.ndarray
    extent: np.ndarray

    @staticmethod
    def of(
        image: np.ndarray,
        label: np.ndarray,
        box: np.ndarray,
        score: np.ndarray,
        area: np.ndarray | None = None,
    ) -> "Detections":
        """Returns checked columns; fills in what is not told.

        Raises:
            ValueError: A box is not finite or has its sides the wrong way round, or a score is not finite.
        """
        box, score = _boxes(box), np.asarray(score, np.float64)
        if not np.isfinite(score).all():
            row = int(np.flatnonzero(~np.isfinite(score))[0])
            raise ValueError(f"expected finite scores. Received: score[{row}]={score[row]}")
        extent = _extent(box)
        area = extent if area is None else np.asarray(area, np.float64)
        return Detections(np.asarray(image, np.int64), np.asarray(label, np.int64), box, score, area, extent)


def unpad(labels: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns the columns `image`, `label` and any others of padded records.

    Args:
        labels: int [n, most], a row an image; -1 is padding.
        columns: [n, most, ...] each, such as boxes and scores.
    """
    image, slot = np.nonzero(labels >= 0)
    return image, labels[image, slot], *(column[image, slot] for column in columns)


def box_overlap(truth: Truth, detections: Detections) -> Overlap:
    """Returns the IoU of boxes; a crowd box counts what share of the detection lies in it.

    Source: `bbIou` in `maskApi.c` of the COCO API, in its order of arithmetic: a last bit decides
    whether an IoU of one half is one.
    """

    def overlap(found: np.ndarray, true: np.ndarray, crowd: np.ndarray) -> np.ndarray:
        one, other = detections.box[found], truth.box[true]
        sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
        common = np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)
        own = detections.extent[found]
        union = np.where(crowd, own, own + truth.extent[true] - common)
        return np.divide(common, union, out=np.zeros_like(common), where=common > 0)

    return overlap


def _boxes(box: np.ndarray) -> np.ndarray:
    box = np.asarray(box, np.float64).reshape(-1, 4)
    wrong = ~np.isfinite(box).all(axis=1) | (box[:, 2:] < box[:, :2]).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"expected left <= right and top <= bottom, all finite. Received: box[{row}]={box[row].tolist()}"
        )
    return box


def _extent(box: np.ndarray) -> np.ndarray:
    return (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
