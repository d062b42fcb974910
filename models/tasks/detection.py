"""Detection: classes and boxes of the objects in an image."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.detection.drawing import outline
from conveyor.models.detection.plots import plots
from conveyor.models.detection.records import boxes_by_outcome, matches_of, outcomes
from conveyor.models.metrics.detection.measures import Measures
from conveyor.models.metrics.weighted import Scores
from conveyor.models.ops import boxes as box_ops
from conveyor.models.ops.frames import Frame
from conveyor.models.ops.images import image_size
from conveyor.models.tasks.settings import DetectionSettings
from conveyor.models.tasks.task import Batch, Facts, Outputs, Records, Task, other_names

_COLOURS = {"true": (40, 220, 60), "found": (60, 120, 255), "false": (255, 50, 30)}


class Detection(Task):
    """Boxes, scores and labels in, those of the image's own pixels out.

    Args:
        settings: Settings of the task.
        classes: Names of the classes, in label order.
    """

    settings: DetectionSettings

    def __init__(self, settings: DetectionSettings, classes: list[str]):
        self.settings = settings
        self.classes = classes

    # === the model ===

    def model_arguments(self) -> dict[str, typing.Any]:
        return {"classes": len(self.classes)}

    # === training ===

    def prepare(self, facts: Facts) -> list[str]:
        limit, counts = self.settings.max_boxes, [len(objects) for objects in facts("objects")]
        cut = sum(count - limit for count in counts if count > limit)
        if not cut:
            return []
        images = sum(count > limit for count in counts)
        return [
            f"{cut} boxes of {images} training images are left out, the smallest: no more than {limit} of an"
            f" image are looked at, and one has {max(counts)} (task.max_boxes)"
        ]

    def annotations(self, example: dict[str, typing.Any], frame: Frame, shape: tf.Tensor) -> Batch:
        """Returns boxes; crowds have the label of their class plus the number of classes."""
        del shape
        objects = example["objects"]
        height, width = tf.unstack(tf.cast(frame["sizes"], tf.float32) * frame["scales"])
        boxes = box_ops.from_relative(objects["bbox"], height, width)
        labels = tf.cast(objects["label"], tf.int32)
        labels += len(self.classes) * tf.cast(tf.cast(objects["is_crowd"], tf.bool), tf.int32)
        kept = largest(objects["bbox"], self.settings.max_boxes)
        return {"bounding_boxes": {"boxes": tf.gather(boxes, kept), "labels": tf.gather(labels, kept)}}

    def inputs_and_targets(self, batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns images; `boxes`, `labels` (-1 where there is nothing to find), and `ignored` crowds."""
        del seed
        boxes, labels = compact(batch["bounding_boxes"], self.settings.max_boxes)
        ignored = labels >= len(self.classes)
        return batch["images"], {
            "boxes": boxes,
            "labels": tf.where(ignored, -1, labels),
            "ignored": ignored,
        }

    def loss(self) -> None:
        """The model's own."""
        return

    def metrics(self) -> list[keras.metrics.Metric] | None:
        return None

    # === serving ===

    def decode(self, inputs: tf.Tensor, raw: dict[str, tf.Tensor], frame: Frame) -> dict[str, tf.Tensor]:
        """Returns `boxes` xyxy in the images' own pixels, `scores`, `class_id`, `class_name` and `count`.

        Rows are filled up: with -1, score 0 and name "".
        """
        del inputs
        labels, there = raw["labels"], raw["labels"] >= 0
        scales = tf.tile(frame["scales"][:, tf.newaxis, ::-1], [1, 1, 2])
        height, width = tf.unstack(frame["sizes"][:, tf.newaxis], axis=-1)
        boxes = box_ops.clip(raw["boxes"] / scales, height, width)
        names = tf.constant([*self.classes, ""])
        found = {
            "boxes": tf.where(there[..., tf.newaxis], boxes, -1.0),
            "scores": raw["scores"],
            "class_id": labels,
            "class_name": tf.gather(names, tf.where(there, labels, len(self.classes))),
            "count": tf.reduce_sum(tf.cast(there, tf.int32), 1),
        }
        return {**found, "masks": raw["masks"]} if "masks" in raw else found

    def thresholds(self) -> dict[str, float]:
        return {"scores": self.settings.threshold}

    # === evaluation ===

    def truth(self, example: dict[str, typing.Any]) -> dict[str, tf.Tensor]:
        objects = example["objects"]
        size = tf.cast(image_size(example["image"]), tf.float64)
        sides = tf.cast(objects["bbox"], tf.float64) * tf.tile(size, [2])
        # shares are float32: so an annotation with up to two decimals is what it was
        top, left, bottom, right = tf.unstack(tf.round(sides * 1000.0) / 1000.0, axis=-1)
        return {
            "labels": tf.cast(objects["label"], tf.int32),
            "boxes": tf.stack([left, top, right, bottom], -1),
            "area": tf.cast(objects["area"], tf.float64),
            "crowd": tf.cast(objects["is_crowd"], tf.bool),
            "difficult": tf.cast(objects["is_difficult"], tf.bool),
        }

    def check(self, outputs: Outputs) -> str:
        missing = {"boxes", "scores", "class_id"} - set(outputs)
        if missing:
            return f"outputs {', '.join(sorted(outputs))}, but no `{min(missing)}`"
        boxes, scores, labels = (outputs[name] for name in ("boxes", "scores", "class_id"))
        if scores.ndim != 2 or boxes.shape != (*scores.shape, 4) or labels.shape != scores.shape:
            return f"boxes of shape {boxes.shape} with scores of {scores.shape}, class_id of {labels.shape}"
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            return "boxes or scores that are no numbers"
        if labels.max(initial=-1) >= len(self.classes):
            return f"class {labels.max()}, of {len(self.classes)} classes"
        told = outputs.get("class_name")
        if told is None:
            return ""
        names = np.array([*self.classes, ""])[labels]
        return other_names(told, names)

    def record(self, truth: dict[str, np.ndarray], outputs: Outputs) -> Records:
        said = {name: outputs[name] for name in ("boxes", "scores", "class_id")}
        return {**said, **{f"true_{name}": column for name, column in truth.items()}}

    def weighted(self, records: Records) -> Scores:
        measures = Measures(matches_of(records), self.classes)
        return Scores(measures, measures.rests())

    def badness(self, records: Records) -> np.ndarray:
        counts = outcomes(records, self.settings.threshold)
        wrong = counts["objects"] - counts["found"] + counts["false"]
        return wrong / np.maximum(counts["objects"] + counts["false"], 1)

    def caption(self, record: dict[str, typing.Any]) -> str:
        counts = {name: int(column[0]) for name, column in self._outcomes(record).items()}
        return (
            f"{counts['found']} of {counts['objects']} objects found, {counts['false']} false boxes"
            f" (score {self.settings.threshold:g} or more). Green: true, blue: found, red: false"
        )

    def _outcomes(self, record: dict[str, typing.Any]) -> dict[str, np.ndarray]:
        return outcomes(_alone(record), self.settings.threshold)

    def picture(self, image: bytes, outputs: Outputs, record: dict[str, typing.Any]) -> bytes:
        pixels = tf.io.decode_image(image, 3, expand_animations=False).numpy()
        if record:
            boxes = boxes_by_outcome(_alone(record), self.settings.threshold)
        else:
            boxes = {"found": outputs["boxes"][outputs["scores"] >= self.settings.threshold]}
        for inset, (kind, colour) in enumerate(_COLOURS.items()):
            outline(pixels, boxes.get(kind, np.zeros((0, 4))), colour, inset=min(inset, 1) if record else 0)
        return tf.io.encode_jpeg(pixels, quality=90, chroma_downsampling=False).numpy()

    def plots(
        self, records: Records, bootstrap: int = 0, seed: int = 0, groups: np.ndarray | None = None
    ) -> list[dict[str, typing.Any]]:
        return plots(records, self.classes, bootstrap, seed, groups)


def _alone(record: dict[str, typing.Any]) -> Records:
    return {name: np.asarray(column)[np.newaxis] for name, column in record.items()}


def largest(boxes: tf.Tensor, limit: int) -> tf.Tensor:
    """Returns which boxes are the largest, int32 [k], in their own order."""
    order = tf.argsort(box_ops.area(boxes), direction="DESCENDING", stable=True)
    return tf.sort(order[:limit])


def compact(found: dict[str, tf.Tensor], limit: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns boxes and labels of as many rows as needed: no more than a limit, and at least one.

    Rows are known to be `limit` where it is not known how many there are; padding goes last.
    """
    boxes, labels = found["boxes"], found["labels"]
    rows = labels.shape[1]
    if rows is not None and 1 <= rows <= limit:
        return boxes, labels
    order = tf.argsort(tf.cast(labels < 0, tf.int32), 1, stable=True)[:, :limit]
    boxes, labels = tf.gather(boxes, order, batch_dims=1), tf.gather(labels, order, batch_dims=1)
    wanted = 1 if rows == 0 else limit
    missing = wanted - tf.shape(labels)[1]
    boxes = tf.pad(boxes, [[0, 0], [0, missing], [0, 0]], constant_values=-1.0)
    labels = tf.pad(labels, [[0, 0], [0, missing]], constant_values=-1)
    return tf.ensure_shape(boxes, [None, wanted, 4]), tf.ensure_shape(labels, [None, wanted])
