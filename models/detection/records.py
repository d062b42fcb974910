"""What is kept of a detector's answers, and of what is there: a row an image."""

import numpy as np

from conveyor.models.metrics.detection.matches import HIT, MISS, Matches
from conveyor.models.metrics.detection.matching import match
from conveyor.models.metrics.detection.objects import Detections, Truth, unpad

Records = dict[str, np.ndarray]

_AT_50 = 0  # column of an outcome: IoU of 0.5, objects of any size


def truth_of(records: Records) -> Truth:
    """Returns what is there.

    Args:
        records: `true_labels` int [n, g], -1 is padding; `true_boxes` float [n, g, 4], xyxy in pixels of
            the image; `true_area` float [n, g]; `true_crowd` and `true_difficult` bool [n, g].
    """
    columns = (records[f"true_{name}"] for name in ("boxes", "area", "crowd", "difficult"))
    return Truth.of(*unpad(records["true_labels"], *columns))


def detections_of(records: Records) -> Detections:
    """Returns what the detector says.

    Args:
        records: `class_id` int [n, d], -1 is padding; `boxes` float [n, d, 4]; `scores` float [n, d].
    """
    return Detections.of(*unpad(records["class_id"], records["boxes"], records["scores"]))


def matches_of(records: Records) -> Matches:
    """Returns which detections find a true object."""
    return match(truth_of(records), detections_of(records), len(records["scores"]))


def outcomes(records: Records, threshold: float) -> dict[str, np.ndarray]:
    """Counts what is right and wrong at IoU 0.5, of detections with a score of at least a threshold.

    Returns:
        int [n] each: `objects` that are to be found, `found` of them, and `false` detections.
    """
    matches, images = matches_of(records), len(records["scores"])
    said = matches.score >= threshold
    outcome = matches.outcome[:, _AT_50]

    def count(image: np.ndarray) -> np.ndarray:
        return np.bincount(image, minlength=images)

    return {
        "objects": count(matches.truth_image[matches.counted[:, 0]]),
        "found": count(matches.image[said & (outcome == HIT)]),
        "false": count(matches.image[said & (outcome == MISS)]),
    }


def boxes_by_outcome(records: Records, threshold: float) -> dict[str, np.ndarray]:
    """Returns the boxes of one image, float64 [k, 4] each: `found`, `false`, and `true` ones.

    Args:
        records: Of one image, n = 1.
        threshold: Detections with a lower score are left out.
    """
    found = detections_of(records)
    order = np.lexsort((-found.score, found.label, found.image))  # of the matches
    outcome = matches_of(records).outcome[:, _AT_50]
    said = found.score[order] >= threshold
    boxes = found.box[order]
    return {
        "true": truth_of(records).box,
        "found": boxes[said & (outcome != MISS)],
        "false": boxes[said & (outcome == MISS)],
    }
