"""What a layer does to a batch: one class for each way in which annotations go with the pixels."""

import typing

import keras
import tensorflow as tf

from conveyor.models.augmentation import boxes, pixels
from conveyor.models.augmentation.geometry import Move
from conveyor.models.augmentation.seeds import Seeds
from conveyor.models.void import VOID

Batch = dict[str, typing.Any]
Step = typing.Callable[[Batch, Seeds], Batch]


def chain(steps: list[Step]) -> Step:
    """Returns steps one after the other."""

    def apply(batch: Batch, seeds: Seeds) -> Batch:
        for step in steps:
            batch = step(batch, seeds)
        return batch

    return apply


class Colour:
    """Changes what pixels are; annotations stay.

    Args:
        layer: A layer of Keras, for pixels in [0, 255].
        channels: That images must have; None is any.
    """

    def __init__(self, layer: typing.Any, channels: int | None = None):
        self._layer, self.channels = layer, channels

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        images = tf.cast(batch["images"], tf.float32)
        if self.channels not in (None, images.shape[-1]):
            raise ValueError(f"expected images of {self.channels} channels. Received: {images.shape[-1]}")
        drawn = self._layer.get_random_transformation(images, training=True, seed=seeds)
        return {**batch, "images": self._layer.transform_images(images, drawn, training=True)}


class Distortion(Colour):
    """Moves pixels where nothing else can go with them."""

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        if {"bounding_boxes", "segmentation_masks"} & set(batch):
            raise ValueError("expected neither boxes nor masks, which would stay where they are")
        return super().__call__(batch, seeds)


class Equalize:
    """Keras's Equalization of each image; the layer itself takes a batch for one image."""

    def __init__(self, layer: keras.layers.Equalization):
        self._layer = layer

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        del seeds
        images = tf.cast(batch["images"], tf.float32)
        return {**batch, "images": tf.map_fn(lambda image: self._layer(image[tf.newaxis])[0], images)}


class Geometry:
    """Moves pixels; masks and boxes move with them.

    Args:
        layer: A layer of Keras, or the like: has `fill_value`, and `fill_mode` and `interpolation` or not.
        move: What it draws.
        fill_mode: What is asked to be outside of an image; None is what the layer does, or "constant"
            where there are boxes, because nothing is around the mirrored copies of objects.
        whole: Whether it moves pixels to pixels.
    """

    def __init__(self, layer: typing.Any, move: Move, fill_mode: str | None, whole: bool = False):
        self._layer, self._move, self._asked, self._whole = layer, move, fill_mode, whole

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        return self.moved(batch, self._move(self._layer, batch["images"], seeds))

    def moved(self, batch: Batch, matrix: tf.Tensor) -> Batch:
        """Returns the batch with its pixels, masks and boxes moved; the matrix as of `Move`."""
        moved, images = dict(batch), batch["images"]
        moved["images"] = self._moved(images, matrix, batch)
        if "segmentation_masks" in batch:
            moved["segmentation_masks"] = self._moved(batch["segmentation_masks"], matrix, batch, VOID)
        if "bounding_boxes" in batch:
            size = tf.unstack(tf.shape(images)[1:3])
            moved["bounding_boxes"] = boxes.move(batch["bounding_boxes"], matrix, size)
        return moved

    def _moved(
        self, images: tf.Tensor, matrix: tf.Tensor, batch: Batch, void: int | None = None
    ) -> tf.Tensor:
        fill_mode = fill(self._layer, self._asked, batch)
        fill_value = getattr(self._layer, "fill_value", 0.0) if void is None else void
        if self._whole:
            return pixels.take(images, matrix, fill_mode, fill_value)
        if void is not None:
            return pixels.warp(images, matrix, "nearest", fill_mode, void)
        interpolation = getattr(self._layer, "interpolation", "bilinear")
        return pixels.warp(tf.cast(images, tf.float32), matrix, interpolation, fill_mode, fill_value)


def fill(layer: typing.Any, asked: str | None, batch: Batch) -> str:
    """Returns what is to be outside of the images of a batch."""
    if "bounding_boxes" not in batch:
        return getattr(layer, "fill_mode", "constant")
    if asked not in (None, "constant"):
        raise ValueError(f"expected fill_mode=constant where there are boxes. Received: fill_mode={asked}")
    return "constant"


class Elastic:
    """Keras's RandomElasticTransform, of images and masks.

    The layer itself draws another field for masks than for images, and takes the first image for all
    where the size of the batch is not known.
    """

    def __init__(self, layer: keras.layers.RandomElasticTransform):
        self._layer = layer

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        if "bounding_boxes" in batch:
            raise ValueError("expected no boxes, which cannot be bent")
        images, masks = tf.cast(batch["images"], tf.float32), batch.get("segmentation_masks")
        drawn = self._layer.get_random_transformation(images, training=True, seed=seeds)
        if drawn is None:
            return batch
        field = seeds.next()
        fill_value, interpolation = self._layer.fill_value, self._layer.interpolation
        bent = {**batch, "images": self._bent(images, drawn, field, interpolation, fill_value)}
        if masks is not None:
            floats = self._bent(tf.cast(masks, tf.float32), drawn, field, "nearest", VOID)
            bent["segmentation_masks"] = tf.cast(floats, masks.dtype)
        return bent

    def _bent(
        self, images: tf.Tensor, drawn: typing.Any, field: tf.Tensor, interpolation: str, fill_value: float
    ) -> tf.Tensor:
        strength = drawn["distortion_factor"]
        alpha, sigma = self._layer.get_elastic_transform_params(*images.shape[1:3], strength)

        def bend(item: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            index, image = item
            seed = Seeds(tf.random.experimental.stateless_fold_in(field, index))
            how = (interpolation, self._layer.fill_mode, fill_value)
            return keras.ops.image.elastic_transform(image, alpha, sigma, *how, seed=seed)

        numbers = tf.range(tf.shape(images)[0])
        bent = tf.map_fn(bend, (numbers, images), fn_output_signature=tf.float32)
        chosen = tf.where(drawn["apply_transform"][:, None, None, None], bent, images)
        return tf.ensure_shape(tf.clip_by_value(chosen, 0, 255), images.shape)
