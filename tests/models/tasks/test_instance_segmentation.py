"""Instance segmentation: targets that move with the pixels, and masks judged as COCO does."""

import numpy as np
import tensorflow as tf
from pycoco import NAMES, reference, xywh
from pycocotools import mask as coco

from conveyor.models.detection.masks import mask_columns
from conveyor.models.ops.instances import FIRST, paste_masks
from conveyor.models.tasks.settings import InstanceSegmentationSettings
from conveyor.models.tasks.task import make_task
from conveyor.models.void import VOID

CLASSES = ["ant", "bee"]
HEIGHT, WIDTH = 60, 80


def task(**settings):
    return make_task(InstanceSegmentationSettings(kind="instance_segmentation", **settings), CLASSES)


def runs(mask):
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


def ellipse(box):
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    left, top, right, bottom = box
    y, x = (rows - (top + bottom) / 2) / (bottom - top), (columns - (left + right) / 2) / (right - left)
    return x**2 + y**2 <= 0.25


def objects(boxes, **changed):
    """Objects as examples have them, each an ellipse in its box."""
    boxes = np.array(boxes, float)
    relative = boxes[:, [1, 0, 3, 2]] / [HEIGHT, WIDTH, HEIGHT, WIDTH]
    columns = {
        "bbox": relative.astype(np.float32),
        "label": np.zeros(len(boxes), np.int64),
        "is_crowd": np.zeros(len(boxes), bool),
        "segmentation": np.array([runs(ellipse(box)) for box in boxes], object),
    }
    return {name: tf.constant(values) for name, values in (columns | changed).items()}


def test_maps_lie_in_the_input_as_the_image_does():
    """Half as large, and with rows and columns below and to the right where there is no image."""
    frame = {"sizes": tf.constant([HEIGHT, WIDTH]), "scales": tf.constant([0.5, 0.5])}
    example = {"objects": objects([[10, 10, 30, 40], [50, 20, 70, 30]])}
    found = task().annotations(example, frame, tf.constant([32, 44]))
    drawn = found["segmentation_masks"].numpy()[..., 0]
    assert drawn.shape == (32, 44)
    assert (drawn[30:] == VOID).all()
    assert (drawn[:, 40:] == VOID).all()
    assert drawn[12, 10] == FIRST  # the middle of the first, (20, 25)
    assert drawn[12, 30] == FIRST + 1
    np.testing.assert_allclose(found["bounding_boxes"]["boxes"][0], [5, 5, 15, 20], rtol=1e-5)


def test_each_box_knows_its_pixels_when_the_smallest_are_cut_and_others_have_left():
    chosen = task(max_boxes=2)
    frame = {"sizes": tf.constant([HEIGHT, WIDTH]), "scales": tf.constant([1.0, 1.0])}
    example = {"objects": objects([[10, 10, 30, 40], [1, 1, 4, 4], [50, 20, 70, 30]])}
    found = chosen.annotations(example, frame, tf.constant([HEIGHT, WIDTH]))
    batch = tf.nest.map_structure(lambda values: values[tf.newaxis], found)
    batch["bounding_boxes"]["labels"] = tf.constant([[-1, 0]])  # the first is no longer seen
    _, targets = chosen.inputs_and_targets({**batch, "images": tf.zeros([1, HEIGHT, WIDTH, 3])}, [1, 2])
    (row,) = np.flatnonzero(targets["labels"][0] == 0)
    pixels = targets["instances"].numpy()[0, ..., 0] == targets["instance"].numpy()[0, row]
    np.testing.assert_array_equal(pixels, ellipse([50, 20, 70, 30]))
    assert targets["instance"].numpy()[0, 1 - row] == -1 or targets["labels"].shape[1] == 2


def scene(seed, images=6):
    """True ellipses, and detections near them with masks of 9 x 9."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 40, (images, 4, 2)).round(1)
    boxes = np.concatenate([low, low + rng.uniform(6, 35, low.shape).round(1)], -1)
    boxes = np.minimum(boxes, [WIDTH, HEIGHT] * 2)
    truth = {
        "labels": rng.integers(-1, 2, (images, 4)),
        "boxes": boxes,
        "crowd": rng.random((images, 4)) < 0.15,
        "difficult": np.zeros((images, 4), bool),
        "segmentation": np.array([[runs(ellipse(box)) for box in some] for some in boxes], object),
        "size": np.tile([HEIGHT, WIDTH], (images, 1)),
    }
    masks = [[ellipse(box) for box in some] for some in boxes]
    truth["area"] = np.array(masks).sum((2, 3)).astype(float)
    said = np.concatenate([boxes, boxes], 1) + rng.normal(0, 1.2, (images, 8, 4))
    rows, columns = np.indices((9, 9)) - 4
    disc = (rows**2 + columns**2 <= 4.5**2).astype(np.float32)
    outputs = {
        "class_id": np.where(rng.random((images, 8)) < 0.1, -1, np.tile(truth["labels"], 2)),
        "boxes": said.astype(np.float32),
        "scores": rng.random((images, 8)).astype(np.float32),
        "masks": np.tile(disc, (images, 8, 1, 1)) * rng.uniform(0.6, 1, (images, 8, 1, 1)),
    }
    return truth, outputs


def by_pycocotools(truth, outputs):
    annotations, found = [], []
    for image, slot in zip(*np.nonzero(truth["labels"] >= 0), strict=True):
        rle = {"size": [HEIGHT, WIDTH], "counts": truth["segmentation"][image, slot].decode()}
        shared = {"image_id": int(image) + 1, "category_id": int(truth["labels"][image, slot]) + 1}
        told = {"area": truth["area"][image, slot], "iscrowd": int(truth["crowd"][image, slot])}
        box = xywh(truth["boxes"][image, slot])
        annotations.append({"id": len(annotations) + 1, "segmentation": rle, "bbox": box, **shared, **told})
    for image, slot in zip(*np.nonzero(outputs["class_id"] >= 0), strict=True):
        box = outputs["boxes"][image, slot : slot + 1]
        (mask,) = paste_masks(outputs["masks"][image, slot : slot + 1], box, HEIGHT, WIDTH)
        found.append(
            {
                "image_id": int(image) + 1,
                "category_id": int(outputs["class_id"][image, slot]) + 1,
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs(mask).decode()},
                "score": float(outputs["scores"][image, slot]),
            }
        )
    sizes = {"width": WIDTH, "height": HEIGHT}
    gt = {
        "images": [{"id": image + 1, **sizes} for image in range(len(truth["labels"]))],
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(CLASSES)],
        "annotations": annotations,
    }
    return reference(gt, found, "segm")


def test_metrics_of_masks_are_those_of_pycocotools():
    for seed in range(3):
        truth, outputs = scene(seed)
        chosen = task()
        found = chosen.measure(chosen.record(truth, outputs))
        expected = by_pycocotools(truth, outputs)
        assert 0.1 < expected["AP"] < 0.9
        for name in (*NAMES, "AP50/ant", "AP50/bee"):
            value = found[f"mask_{name}"]
            np.testing.assert_allclose(np.nan if value is None else value, expected[name], atol=1e-9)


def test_objects_without_an_outline_are_their_boxes():
    truth, outputs = scene(0, images=1)
    truth["segmentation"][:] = ""
    found = mask_columns(truth, outputs)
    there = truth["labels"][0] >= 0
    sides = truth["boxes"][0, :, 2:] - truth["boxes"][0, :, :2]
    # pixels of a box whose borders lie within them are whole
    np.testing.assert_allclose(found["true_mask_pixels"][0, there], sides[there].prod(-1), rtol=0.25)


def test_answers_without_masks_are_refused():
    _, outputs = scene(0)
    assert "mask_head" in task().check({name: outputs[name] for name in ("boxes", "scores", "class_id")})
    assert task().check(outputs) == ""
