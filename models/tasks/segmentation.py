"""Segmentation: a class for each pixel."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.losses.segmentation import (
    PixelCrossentropy,
    RegionLoss,
    SumOfLosses,
    median_frequency,
)
from conveyor.models.metrics.boundaries import boundary_f1, boundary_metrics
from conveyor.models.metrics.mean_iou import MeanIoU
from conveyor.models.metrics.means import mean_of_defined
from conveyor.models.metrics.segmentation import confusion, region_metrics
from conveyor.models.metrics.weighted import Scores
from conveyor.models.ops.class_maps import class_maps, resize_mask
from conveyor.models.ops.frames import Frame
from conveyor.models.tasks.mask_pictures import side_by_side
from conveyor.models.tasks.settings import SegmentationSettings
from conveyor.models.tasks.task import Batch, Facts, Outputs, Records, Task


class Segmentation(Task):
    """Logits of each pixel in; a map of classes, in the image's own pixels, out.

    Args:
        settings: Settings of the task.
        classes: Names of the classes, in the order of the masks' indices.

    Raises:
        ValueError: There are not two of them.
    """

    settings: SegmentationSettings

    def __init__(self, settings: SegmentationSettings, classes: list[str]):
        if len(classes) < 2:
            raise ValueError(
                f"expected masks of two classes or more. Received: {', '.join(classes) or 'none'}"
            )
        self.settings = settings
        self.classes = classes
        self.class_weights: list[float] | None = None

    # === the model ===

    def model_arguments(self) -> dict[str, typing.Any]:
        return {"classes": len(self.classes)}

    # === training ===

    def prepare(self, facts: Facts) -> list[str]:
        if self.settings.class_weights == "none":
            return []
        pixels = [row[: len(self.classes)] for row in facts("mask_pixels")]
        if any(len(row) != len(self.classes) for row in pixels):
            raise ValueError(
                "expected the pixels of each class in each mask, which a source that is not copied lacks."
                " Received: class_weights=median_frequency"
            )
        self.class_weights = median_frequency(pixels)
        return []

    def annotations(self, example: dict[str, tf.Tensor], frame: Frame, shape: tf.Tensor) -> Batch:
        mask = tf.io.decode_png(example["segmentation_mask"], 1)
        return {"segmentation_masks": resize_mask(mask, frame, shape)}

    def inputs_and_targets(self, batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del seed
        return batch["images"], batch["segmentation_masks"]

    def loss(self) -> keras.losses.Loss:
        how = self.settings
        weighed = {"class_weights": self.class_weights, "label_smoothing": how.label_smoothing}
        makers: dict[str, typing.Callable[[], keras.losses.Loss]] = {
            "crossentropy": lambda: PixelCrossentropy(**weighed),
            "focal": lambda: PixelCrossentropy(how.focal_gamma, **weighed),
            "dice": RegionLoss,
            "tversky": lambda: RegionLoss(how.tversky_alpha),
        }
        return SumOfLosses([makers[name]() for name in how.losses])

    def metrics(self) -> list[keras.metrics.Metric]:
        return [MeanIoU(len(self.classes))]

    # === serving ===

    def decode(self, inputs: tf.Tensor, raw: tf.Tensor, frame: Frame) -> dict[str, tf.Tensor]:
        del inputs
        return {"class_map": class_maps(raw, frame), "sizes": tf.identity(frame["sizes"])}

    # === evaluation ===

    def truth(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        return example["segmentation_mask"]  # encoded, as sizes differ

    def check(self, outputs: Outputs) -> str:
        missing = {"class_map", "sizes"} - set(outputs)
        if missing:
            return f"outputs {', '.join(sorted(outputs))}, but no `{min(missing)}`"
        maps, sizes = outputs["class_map"], outputs["sizes"]
        if maps.ndim != 3 or sizes.shape != (len(maps), 2):
            return f"class maps of shape {maps.shape} and sizes of shape {sizes.shape}"
        if (sizes > maps.shape[1:]).any():
            return f"class maps of {maps.shape[1]}x{maps.shape[2]}, smaller than their images"
        highest = max((int(one.max(initial=0)) for one in _cut(outputs)), default=0)
        if highest >= len(self.classes):
            return f"a class map with index {highest}, for {len(self.classes)} classes"
        return ""

    def record(self, truth: np.ndarray, outputs: Outputs) -> Records:
        count = len(self.classes)
        pairs = [(decode_mask(data), found) for data, found in zip(truth, _cut(outputs), strict=True)]
        return {
            "confusions": np.stack([confusion(mask, found, count) for mask, found in pairs]).astype(np.int32),
            "boundaries": np.stack([boundary_f1(mask, found, count) for mask, found in pairs]),
        }

    def weighted(self, records: Records) -> Scores:
        confusions, boundaries = records["confusions"], records["boundaries"]

        def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
            regions = region_metrics(confusions, weights, self.classes)
            return regions | boundary_metrics(boundaries, weights, self.classes)

        # all are in [0, 1]; those of a class rest on the images that have it
        everything = np.arange(len(confusions))
        pixels = confusions.sum(axis=2)
        of_class = {name: np.flatnonzero(pixels[:, label]) for label, name in enumerate(self.classes)}
        names = compute(np.ones((1, len(confusions)), np.int32))
        rests = {name: of_class.get(name.partition("/")[2], everything) for name in names}
        return Scores(compute, rests)

    def badness(self, records: Records) -> np.ndarray:
        return np.nan_to_num(1.0 - _image_iou(records["confusions"]))  # 0 where all is void

    def caption(self, record: dict[str, typing.Any]) -> str:
        counts = record["confusions"]
        right = np.trace(counts) / max(1, counts.sum())
        return f"mean IoU {_image_iou(counts[np.newaxis])[0]:.3f}, {right:.1%} of the pixels right"

    def picture(self, image: bytes, outputs: Outputs, record: dict[str, typing.Any]) -> bytes:
        height, width = outputs["sizes"]
        truth = decode_mask(record["truth"]) if "truth" in record else None
        return side_by_side(image, outputs["class_map"][:height, :width], truth)

    def plots(
        self, records: Records, bootstrap: int = 0, seed: int = 0, groups: np.ndarray | None = None
    ) -> list[dict[str, typing.Any]]:
        counts = records["confusions"].sum(axis=0, dtype=np.int64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        found = self.evaluate(records, bootstrap, seed, groups)
        return [
            {
                "kind": "matrix",
                "title": "Confusion matrix",
                "caption": "Pixels by true class (rows) and predicted class (columns), as shares of a row.",
                "rows": "true class",
                "columns": "predicted class",
                "labels": self.classes,
                "values": np.round(shares, 4).tolist(),
            },
            {
                "kind": "bars",
                "title": "IoU per class",
                "caption": "Intersection over union of the pixels of each class, over all images.",
                "x": "IoU",
                "y": "class",
                "items": [{"name": name, **found[f"iou/{name}"]} for name in self.classes],
            },
        ]


def decode_mask(data: bytes) -> np.ndarray:
    """Returns uint8 [height, width] of an encoded mask."""
    return tf.io.decode_png(data, 1).numpy()[..., 0]


def _cut(outputs: Outputs) -> list[np.ndarray]:
    """Returns the class map of each image, of its size."""
    pairs = zip(outputs["class_map"], outputs["sizes"], strict=True)
    return [found[:height, :width] for found, (height, width) in pairs]


def _image_iou(confusions: np.ndarray) -> np.ndarray:
    """Returns the mean IoU of each image over the classes in it or in its prediction; NaN for none."""
    hits = np.diagonal(confusions, axis1=1, axis2=2).astype(np.float64)
    either = confusions.sum(axis=2) + confusions.sum(axis=1) - hits
    with np.errstate(invalid="ignore"):
        return mean_of_defined(hits / either)
