"""Metrics of a large detection set: COCO's AP, with and without intervals, against hotcoco and pycocotools.

    python benchmarks/bench_metrics.py [IMAGES] [RESAMPLES]

5,000 images, 35,000 boxes and 305,000 detections of 80 classes unless told; sizes go with the images. AP must
take 1 second or less, and with 1,000 resamples 20 or less; both must equal pycocotools to 1e-9.
"""

import contextlib
import io
import resource
import sys
import time
from collections.abc import Callable

import hotcoco
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from conveyor.models.metrics.detection.matching import match
from conveyor.models.metrics.detection.measures import Sampled
from conveyor.models.metrics.detection.objects import Detections, Truth

CLASSES = [f"class {number}" for number in range(80)]
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def make(images: int) -> tuple[Truth, Detections]:
    """Returns 7 boxes and 61 detections an image; scores tell right from wrong as a detector's do."""
    generator = np.random.default_rng(0)
    boxes, found = 7 * images, 61 * images
    corner, size = generator.uniform(0, 500, (boxes, 2)), np.exp(generator.uniform(2, 5.3, (boxes, 2)))
    image, label = generator.integers(0, images, boxes), generator.integers(0, len(CLASSES), boxes)
    truth = Truth.of(image, label, np.concatenate([corner, corner + size], axis=1))
    about = generator.integers(0, boxes, found)
    spread = np.exp(generator.normal(-1, 1, found))[:, None] * size[about].mean(axis=1)[:, None] / 4
    near = truth.box[about] + spread * generator.normal(0, 1, (found, 4))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    right = generator.random(found) < 0.7
    score = 1 / (1 + np.exp(spread[:, 0] / 4 + ~right + generator.normal(0, 1, found)))
    said = np.where(right, label[about], generator.integers(0, len(CLASSES), found))
    return truth, Detections.of(image[about], said, near, score)


def timed(what: str, work: Callable) -> tuple[float, object]:
    """Prints and returns how long work takes, and what it gives."""
    began, used = time.perf_counter(), time.process_time()
    made = work()
    seconds = time.perf_counter() - began
    print(f"{what:<44} {seconds:8.2f} s, {time.process_time() - used:8.2f} s of CPU", flush=True)
    return seconds, made


def rows(truth: Truth, detections: Detections) -> tuple[dict, np.ndarray]:
    """Returns COCO's document of the truth, and the detections as its API takes them."""

    def xywh(box: np.ndarray) -> np.ndarray:
        return np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)

    columns = zip(
        truth.image.tolist(), truth.label.tolist(), xywh(truth.box).tolist(), truth.area.tolist(), strict=True
    )
    document = {
        "images": [{"id": i, "width": 640, "height": 640} for i in range(int(truth.image.max()) + 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES)],
        "annotations": [
            {"id": row + 1, "image_id": i, "category_id": c, "bbox": box, "area": area, "iscrowd": 0}
            for row, (i, c, box, area) in enumerate(columns)
        ],
    }
    found = [detections.image, xywh(detections.box), detections.score, detections.label]
    return document, np.column_stack(found)


def peer(api: type, judge: type, document: dict, found: np.ndarray) -> np.ndarray:
    """Returns the twelve numbers of a COCO API."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = api()
        truth.dataset = document
        truth.createIndex()
        judged = judge(truth, truth.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return np.array(judged.stats)


def main() -> None:
    """Prints times, their ratios, and the largest difference."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    resamples = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    truth, detections = make(images)
    document, found = rows(truth, detections)
    print(f"{images:,} images, {len(truth.image):,} boxes, {len(found):,} detections")
    alone, sampled = timed(
        "conveyor, 12 COCO metrics, VOC's, per class",
        lambda: Sampled(match(truth, detections, images), CLASSES),
    )
    _, _ = timed(
        f"conveyor, all with {resamples:,} resamples",
        lambda: Sampled(match(truth, detections, images), CLASSES, resamples),
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory so far, with the data as JSON: {memory:,.0f} MB")
    for name, api, judge in (("hotcoco", hotcoco.COCO, hotcoco.COCOeval), ("pycocotools", COCO, COCOeval)):
        seconds, stats = timed(
            f"{name}, 12 COCO metrics", lambda api=api, judge=judge: peer(api, judge, document, found)
        )
        ours = np.array([sampled.point[metric][0] for metric in NAMES])
        difference = np.abs(np.nan_to_num(ours, nan=-1.0) - stats).max()
        print(f"  takes {seconds / alone:.2f} times as long; largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
