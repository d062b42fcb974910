"""What files say about boxes: the truth, and what one or two detectors say of the same images."""

import dataclasses
import typing

import numpy as np

from conveyor.models.metrics.detection.matches import MOST_DETECTIONS
from conveyor.models.metrics.detection.objects import Detections, Overlap, Truth, box_overlap

Segmentation = list[dict[str, typing.Any]]


@dataclasses.dataclass(frozen=True)
class BoxFiles:
    """Truth and detections of some images.

    Args:
        images: Number of images.
        classes: Names of the classes, in the order of their indices.
        truth: Of all images.
        detections: Of each detector.
        masks: Run lengths of the true objects and of each detector's; None to go by boxes.
    """

    images: int
    classes: list[str]
    truth: Truth
    detections: list[Detections]
    masks: tuple[Segmentation, list[Segmentation]] | None = None

    def overlap(self, detector: int) -> Overlap:
        """Returns the IoU of pairs of a detection and a true object."""
        if self.masks is None:
            return box_overlap(self.truth, self.detections[detector])
        return mask_overlap(self.masks[0], self.masks[1][detector])

    def notes(self, detector: int) -> list[str]:
        """Returns what is unusual, and how it was taken."""
        detections, truth = self.detections[detector], self.truth
        outside = int(((detections.score < 0) | (detections.score > 1)).sum())
        key = detections.image * max(len(self.classes), 1) + detections.label
        counts = np.unique(key, return_counts=True)[1]
        over = int(np.maximum(counts - MOST_DETECTIONS, 0).sum())
        flat = int((detections.extent == 0).sum())
        crowds, hard = int(truth.crowd.sum()), int(truth.difficult.sum())
        told = {
            f"{outside:,} scores are outside [0, 1]: only the order of scores matters here": outside,
            f"{over:,} detections are beyond the {MOST_DETECTIONS} best of their class and image: VOC's"
            " metrics count them, COCO's do not": over,
            f"{flat:,} detections have no area, and so find nothing": flat,
            f"{crowds:,} true objects are crowds: nobody has to find them": crowds,
            f"{hard:,} true objects are difficult: VOC's metrics leave them out, COCO's do not": hard,
            "there is no true object that must be found, so the metrics are not defined": not (
                len(truth.image) - crowds
            ),
            "there are no detections: all that is to be found is missed": not len(detections.score),
            "an interval needs two images or more": self.images < 2,
        }
        return [text for text, true in told.items() if true]


def mask_overlap(true: Segmentation, found: Segmentation) -> Overlap:
    """Returns the IoU of masks, as `box_overlap` does that of boxes.

    Args:
        true: COCO's run lengths of the true objects.
        found: Those of the detections.
    """
    import hotcoco.mask

    def overlap(rows: np.ndarray, others: np.ndarray, crowd: np.ndarray) -> np.ndarray:
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        parts = zip(*(np.split(column, starts[1:]) for column in (rows, others, crowd)), strict=True)
        each = [
            hotcoco.mask.iou([found[mine[0]]], [true[other] for other in theirs], crowds.tolist())[0]
            for mine, theirs, crowds in parts
            if len(mine)
        ]
        return np.concatenate([np.zeros(0), *each])

    return overlap
