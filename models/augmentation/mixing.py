"""Layers that mix images of a batch with each other."""

import typing

import keras
import tensorflow as tf

from conveyor.models.augmentation import boxes
from conveyor.models.augmentation.seeds import Seeds
from conveyor.models.augmentation.steps import Batch
from conveyor.models.ops.instances import FIRST

_VISIBLE = 0.1  # share of an image in a mixture from which its objects count


class MixUp:
    """Keras's MixUp: images and labels are weighted means; objects of both images are kept.

    Source: Zhang et al., mixup; for boxes Zhang et al., Bag of Freebies for Training Object Detection
    Neural Networks, section 3.1.
    """

    def __init__(self, layer: keras.layers.MixUp):
        self._layer = layer

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        if "segmentation_masks" in batch:
            raise ValueError("expected no masks, as a pixel has one class. Use cut_mix")
        images = tf.cast(batch["images"], tf.float32)
        drawn = self._layer.get_random_transformation(images, training=True, seed=seeds)
        mixed = {**batch, "images": self._layer.transform_images(images, drawn)}
        if "labels" in batch:
            mixed["labels"] = self._layer.transform_labels(batch["labels"], drawn)
        if "bounding_boxes" in batch:
            own, order = drawn["mix_weight"], drawn["permutation_order"]
            first = _visible(batch["bounding_boxes"], own)
            second = _visible(_others(batch["bounding_boxes"], order), 1 - own)
            mixed["bounding_boxes"] = join(first, second)
        return mixed


def _visible(found: boxes.Boxes, share: tf.Tensor) -> boxes.Boxes:
    return boxes.keep(found, share[:, tf.newaxis] >= _VISIBLE)


def _others(found: boxes.Boxes, order: tf.Tensor) -> boxes.Boxes:
    return {key: tf.gather(values, order) for key, values in found.items()}


def join(*found: boxes.Boxes) -> boxes.Boxes:
    """Returns the boxes of all, [n, sum of m, ...]."""
    return {key: tf.concat([one[key] for one in found], 1) for key in ("boxes", "labels")}


def behind(masks: tf.Tensor, batch: Batch, parts: int = 1) -> tf.Tensor:
    """Returns masks whose boxes come after those of so many batches like this, once they are joined.

    Pixels of single objects say which row of boxes they are (see `conveyor.models.ops.instances`).
    """
    if masks.dtype != tf.int32 or "bounding_boxes" not in batch:
        return masks
    rows = parts * tf.shape(batch["bounding_boxes"]["labels"])[1]
    return tf.where(masks >= FIRST, masks + rows, masks)


class CutMix:
    """Keras's CutMix: a patch of another image, with its mask and boxes; labels by the share of pixels.

    Source: Yun et al., CutMix.
    """

    def __init__(self, layer: keras.layers.CutMix):
        self._layer = layer

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        images = tf.cast(batch["images"], tf.float32)
        drawn = self._layer.get_random_transformation(images, training=True, seed=seeds)
        patch, order = drawn["batch_masks"][..., :1], drawn["permutation_order"]
        mixed: dict[str, typing.Any] = dict(batch)
        mixed["images"] = tf.where(patch, tf.gather(images, order), images)
        if "segmentation_masks" in batch:
            masks = batch["segmentation_masks"]
            others = behind(tf.gather(masks, order), batch)
            mixed["segmentation_masks"] = tf.where(patch, others, masks)
        if "labels" in batch:
            share = tf.reduce_mean(tf.cast(patch, tf.float32), [1, 2])
            mixed["labels"] = (1 - share) * batch["labels"] + share * tf.gather(batch["labels"], order)
        if "bounding_boxes" in batch:
            window = _window(patch[..., 0])
            own = boxes.outside(batch["bounding_boxes"], window)
            mixed["bounding_boxes"] = join(own, boxes.clip(_others(batch["bounding_boxes"], order), window))
        return mixed


def _window(patch: tf.Tensor) -> tf.Tensor:
    """Returns the boxes around patches, float32 [n, 1, 4], from bool [n, height, width]."""
    sides = []
    for axis in (1, 2):  # columns, rows
        line = tf.cast(tf.reduce_any(patch, axis), tf.int32)
        first = tf.argmax(line, 1, tf.int32)
        sides.append((first, first + tf.reduce_sum(line, 1)))
    (left, right), (top, bottom) = sides
    return tf.cast(tf.stack([left, top, right, bottom], -1), tf.float32)[:, tf.newaxis]
