"""pycocotools on columns of boxes: the oracle of the COCO metrics."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def documents(truth, detections, images, classes):
    """Returns the ground truth and the detections of columns as COCO has them; ids start at 1."""
    annotations = [
        {
            "id": row + 1,  # pycocotools takes 0 for no match
            "image_id": int(truth.image[row]) + 1,
            "category_id": int(truth.label[row]) + 1,
            "bbox": xywh(truth.box[row]),
            "area": float(truth.area[row]),
            "iscrowd": int(truth.crowd[row]),
        }
        for row in range(len(truth.image))
    ]
    found = [
        {
            "image_id": int(detections.image[row]) + 1,
            "category_id": int(detections.label[row]) + 1,
            "bbox": xywh(detections.box[row]),
            "score": float(detections.score[row]),
        }
        for row in range(len(detections.image))
    ]
    gt = {
        "images": [{"id": i + 1, "width": 640, "height": 480} for i in range(images)],
        "categories": [{"id": i + 1, "name": f"class {i}"} for i in range(classes)],
        "annotations": annotations,
    }
    return gt, found


def xywh(box):
    left, top, right, bottom = (float(side) for side in box)
    return [left, top, right - left, bottom - top]


def reference(gt, found, kind="bbox"):
    """Returns metric name -> value by pycocotools; NaN for its -1. `AP50/<name>` too."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = gt
        coco.createIndex()
        if found:
            results = coco.loadRes(found)
        else:
            results = COCO()
            results.dataset = {**gt, "annotations": []}
            results.createIndex()
        judged = COCOeval(coco, results, kind)
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    values = dict(zip(NAMES, judged.stats, strict=True))
    precision = judged.eval["precision"][0, :, :, 0, -1]
    for index, category in enumerate(gt["categories"]):
        values[f"AP50/{category['name']}"] = precision[:, index].mean()
    return {name: np.nan if value < 0 else float(value) for name, value in values.items()}
