"""Instance segmentation: classes, boxes and masks of the objects in an image."""

import typing

import numpy as np
import tensorflow as tf

from conveyor.models.detection.masks import mask_columns, mask_matches
from conveyor.models.metrics.detection.measures import Measures
from conveyor.models.metrics.weighted import Scores
from conveyor.models.ops.class_maps import resize_mask
from conveyor.models.ops.frames import Frame
from conveyor.models.ops.images import image_size
from conveyor.models.ops.instances import FIRST, instance_map, paste_masks
from conveyor.models.tasks.detection import Detection, compact, largest
from conveyor.models.tasks.task import Batch, Outputs, Records

_TINT = np.array([60, 120, 255])  # of what is found


class InstanceSegmentation(Detection):
    """Detection, and what is said of the pixels in each box.

    Args:
        settings: Settings of the task.
        classes: Names of the classes, in label order.
    """

    # === training ===

    def annotations(self, example: dict[str, typing.Any], frame: Frame, shape: tf.Tensor) -> Batch:
        """Returns boxes, and `segmentation_masks` as `conveyor.models.ops.instances` says."""
        found = super().annotations(example, frame, shape)
        objects = example["objects"]
        kept = largest(objects["bbox"], self.settings.max_boxes)
        height, width = tf.unstack(frame["sizes"])
        drawn = instance_map(tf.gather(objects["segmentation"], kept), height, width)
        return {**found, "segmentation_masks": resize_mask(drawn, frame, shape)}

    def inputs_and_targets(self, batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns images and what they hold: also `instances`, the map, and `instance` int32 [n, m], which of
        its pixels are each box's.
        """
        images, targets = super().inputs_and_targets(batch, seed)
        found = batch["bounding_boxes"]
        numbers = FIRST + tf.range(tf.shape(found["labels"])[1]) + tf.zeros_like(found["labels"])
        pixels = {"boxes": found["boxes"], "labels": tf.where(found["labels"] >= 0, numbers, -1)}
        _, instance = compact(pixels, self.settings.max_boxes)  # in the order that the boxes are in
        return images, {**targets, "instances": batch["segmentation_masks"], "instance": instance}

    # === evaluation ===

    def truth(self, example: dict[str, typing.Any]) -> dict[str, tf.Tensor]:
        outlines = {"segmentation": example["objects"]["segmentation"], "size": image_size(example["image"])}
        return {**super().truth(example), **outlines}

    def check(self, outputs: Outputs) -> str:
        masks = outputs.get("masks")
        if masks is None:
            return f"outputs {', '.join(sorted(outputs))}, but no `masks` (model.mask_head=true)"
        if masks.ndim != 4 or masks.shape[:2] != outputs["class_id"].shape or not np.isfinite(masks).all():
            return f"masks of shape {masks.shape}, or that are no numbers"
        return super().check(outputs)

    def record(self, truth: dict[str, np.ndarray], outputs: Outputs) -> Records:
        boxes = {name: column for name, column in truth.items() if name not in ("segmentation", "size")}
        return {**super().record(boxes, outputs), **mask_columns(truth, outputs)}

    def weighted(self, records: Records) -> Scores:
        """Returns the metrics of boxes, and those of masks, `mask_AP` and so on."""
        of_boxes, of_masks = super().weighted(records), Measures(mask_matches(records), self.classes)

        def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
            return {**of_boxes(weights), **_named(of_masks(weights))}

        return Scores(compute, {**of_boxes.rests, **_named(of_masks.rests())})

    def picture(self, image: bytes, outputs: Outputs, record: dict[str, typing.Any]) -> bytes:
        pixels = tf.io.decode_image(image, 3, expand_animations=False).numpy()
        said = outputs["scores"] >= self.settings.threshold
        masks = paste_masks(outputs["masks"][said], outputs["boxes"][said], *pixels.shape[:2])
        seen = masks.any(0)
        pixels[seen] = pixels[seen] // 2 + _TINT // 2
        return super().picture(tf.io.encode_png(pixels).numpy(), outputs, record)


def _named(metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"mask_{name}": values for name, values in metrics.items()}
