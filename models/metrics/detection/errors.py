"""What costs a detector its average precision: the budget of errors."""

import typing
from collections.abc import Sequence

import numpy as np
from hotcoco import COCO, COCOeval

from conveyor.models.metrics.detection.objects import Detections, Truth

Segmentation = list[typing.Any]  # COCO's run lengths

# in the order in which they are shown, with what each is
ERRORS = {
    "Cls": "right place, wrong class",
    "Loc": "right class, box too far off (IoU below 0.5)",
    "Both": "wrong class and box too far off",
    "Dupe": "an object found once more",
    "Bkg": "nothing is there (IoU below 0.1)",
    "Miss": "an object that no detection is about",
}


def error_budget(
    truth: Truth,
    detections: Detections,
    images: int,
    classes: Sequence[str],
    masks: tuple[Segmentation, Segmentation] | None = None,
) -> dict[str, dict[str, float]] | None:
    """Returns, for each kind of error, by how much AP50 would rise were it mended, and how many there are.

    Args:
        truth: Of n images.
        detections: Of the same images.
        images: Number of images, n.
        classes: Names of the classes, in the order of their indices.
        masks: COCO's run lengths of the true objects and of the detections, to tell by masks.

    Returns:
        Kind -> `cost`, in AP50, and `count`. None where nothing is to be found, or nothing is said.

    Source: Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020.
    """
    if truth.crowd.all() or not len(detections.score):
        return None
    listed = [{"id": index + 1, "width": 1, "height": 1} for index in range(images)]
    names = [{"id": index + 1, "name": name} for index, name in enumerate(classes)]
    true = COCO.from_arrays(
        listed,
        names,
        truth.image + 1,
        truth.label + 1,
        _xywh(truth.box),
        area=truth.area,
        iscrowd=truth.crowd,
        segmentation=masks[0] if masks else None,
    )
    rows = np.column_stack(
        [detections.image + 1, _xywh(detections.box), detections.score, detections.label + 1]
    )
    found = true.load_res(rows, segmentation=masks[1] if masks else None)
    judged = COCOeval(true, found, "segm" if masks else "bbox")
    judged.evaluate()
    told = judged.tide_errors()
    return {
        kind: {"cost": float(told["delta_ap"][kind]), "count": int(told["counts"][kind])} for kind in ERRORS
    }


def _xywh(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
