"""What became of each detection: the part of an evaluation that depends on its image alone."""

import dataclasses
from collections.abc import Sequence

import numpy as np

MISS, HIT, IGNORED = 0, 1, 2  # outcomes of a detection; an ignored one counts neither way

# COCO's ten IoU thresholds and four ranges of area in square pixels, both ends included
THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = {"": (0, 1e5**2), "s": (0, 32**2), "m": (32**2, 96**2), "l": (96**2, 1e5**2)}
MOST_DETECTIONS = 100  # of a class in an image, by COCO's rules; VOC's have no limit

VOC_AREA = len(AREAS)  # column of `Matches.counted` that is VOC's
VOC_COLUMN = len(AREAS) * len(THRESHOLDS)  # column of `Matches.outcome` that is VOC's


@dataclasses.dataclass(frozen=True)
class Matches:
    """Matches of some images. Those of other images can be appended, so shards can be matched apart.

    Detections are in the order of their images, and of a class in an image in that of their ranks.

    Args:
        images: Number of images, n, with those that hold nothing.
        image: int [d], index of the image of each detection.
        label: int [d], index of its class.
        score: float64 [d].
        rank: int [d], its place among those of its class and image by score, from 0.
        outcome: uint8 [d, 41], MISS, HIT or IGNORED by each criterion: ten thresholds for each range
            of area, then VOC's.
        truth_image: int [g], index of the image of each true object.
        truth_label: int [g], its class.
        counted: bool [g, 5], whether it must be found: for each range of area, then by VOC's rules.
    """

    images: int
    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    rank: np.ndarray
    outcome: np.ndarray
    truth_image: np.ndarray
    truth_label: np.ndarray
    counted: np.ndarray

    @staticmethod
    def concat(parts: Sequence["Matches"]) -> "Matches":
        """Returns the matches of all images of the parts, numbered one part after the other."""
        starts = np.cumsum([0, *(part.images for part in parts)])
        moved = [
            dataclasses.replace(part, image=part.image + start, truth_image=part.truth_image + start)
            for part, start in zip(parts, starts[:-1], strict=True)
        ]
        names = [field.name for field in dataclasses.fields(Matches)][1:]
        columns = {name: np.concatenate([getattr(part, name) for part in moved]) for name in names}
        return Matches(int(starts[-1]), **columns)
