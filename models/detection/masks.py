"""What is kept of a detector's masks, and of those that are there: how much of each lies in each other."""

import hotcoco.mask
import numpy as np

from conveyor.models.detection.records import truth_of
from conveyor.models.metrics.detection.matches import Matches
from conveyor.models.metrics.detection.matching import match
from conveyor.models.metrics.detection.objects import Detections, Overlap, unpad
from conveyor.models.ops.instances import paste_masks

Columns = dict[str, np.ndarray]


def mask_columns(truth: Columns, outputs: Columns) -> Columns:
    """Returns rows for the records of a batch.

    Args:
        truth: `labels` int [n, g], -1 is padding; `boxes` [n, g, 4]; `segmentation` bytes [n, g], COCO's
            compressed run lengths, empty where only the box is known; `size` int [n, 2], heights and
            widths of the images.
        outputs: `class_id` int [n, d], -1 is padding; `boxes` [n, d, 4]; `masks` [n, d, s, s].

    Returns:
        `mask_pixels` float64 [n, d] and `true_mask_pixels` float64 [n, g], areas; `mask_shared` float64
        [n, d, g], pixels that a detection and an object share.
    """
    found, true = outputs["class_id"], truth["labels"]
    own, others = np.zeros(found.shape), np.zeros(true.shape)
    shared = np.zeros((*found.shape, true.shape[1]))
    for image, size in enumerate(truth["size"].tolist()):
        said, there = np.flatnonzero(found[image] >= 0), np.flatnonzero(true[image] >= 0)
        masks = paste_masks(outputs["masks"][image, said], outputs["boxes"][image, said], *size)
        detected = hotcoco.mask.encode(np.moveaxis(masks, 0, -1)) if len(said) else []
        objects = [_runs(truth["segmentation"][image, k], truth["boxes"][image, k], size) for k in there]
        own[image, said] = masks.sum((1, 2))
        others[image, there] = [float(hotcoco.mask.area(rle)) for rle in objects]
        if len(said) and len(there):
            # the overlap with a crowd is what share of the detection lies in it
            shares = hotcoco.mask.iou(detected, objects, [True] * len(objects))
            shared[image][np.ix_(said, there)] = np.rint(shares * own[image, said][:, np.newaxis])
    return {"mask_pixels": own, "true_mask_pixels": others, "mask_shared": shared}


def mask_matches(records: Columns) -> Matches:
    """Returns which detections find a true object, by their masks.

    Args:
        records: As of `conveyor.models.detection.records`, and what `mask_columns` returns.
    """
    image, label, box, score, pixels = unpad(
        records["class_id"], *(records[name] for name in ("boxes", "scores", "mask_pixels"))
    )
    detections = Detections.of(image, label, box, score, pixels)
    overlap = _overlap(records, pixels)
    return match(truth_of(records), detections, len(records["scores"]), overlap)


def _overlap(records: Columns, pixels: np.ndarray) -> Overlap:
    """Returns the IoU of masks, as `rleIou` in `maskApi.c` of the COCO API has it."""
    image, slot = np.nonzero(records["class_id"] >= 0)
    _, true_slot = np.nonzero(records["true_labels"] >= 0)
    (_, _, true_pixels) = unpad(records["true_labels"], records["true_mask_pixels"])

    def overlap(found: np.ndarray, true: np.ndarray, crowd: np.ndarray) -> np.ndarray:
        common = records["mask_shared"][image[found], slot[found], true_slot[true]]
        union = np.where(crowd, pixels[found], pixels[found] + true_pixels[true] - common)
        return np.divide(common, union, out=np.zeros_like(common), where=common > 0)

    return overlap


def _runs(counts: str | bytes, box: np.ndarray, size: list[int]) -> dict:
    if counts:
        return {"size": size, "counts": counts.encode() if isinstance(counts, str) else counts}
    left, top, right, bottom = box.tolist()
    return hotcoco.mask.fr_bbox([left, top, right - left, bottom - top], *size)
