"""Layers for pictures of several objects: scale jitter, crops around objects, mosaics."""

import dataclasses
import math
import typing

import tensorflow as tf

from conveyor.models.augmentation import boxes
from conveyor.models.augmentation.geometry import matrix_of
from conveyor.models.augmentation.mixing import behind, join
from conveyor.models.augmentation.seeds import Seeds
from conveyor.models.augmentation.steps import Batch, Geometry
from conveyor.models.ops.boxes import to_centers

Range = typing.Sequence[float]


@dataclasses.dataclass(frozen=True)
class RandomScale:
    """Scale jitter: each image larger or smaller by a factor of its own, at a place of its own.

    A larger one is cut; around a smaller one `fill_value` is seen. Both sides have the same factor.

    Args:
        factor: The least and the largest, > 0; any factor between is as likely as its inverse.
        fill_value: Of what is outside, in [0, 255].

    Source: Ghiasi et al., "Simple Copy-Paste", CVPR 2021, section 3 (large scale jittering).
    """

    factor: Range = (0.5, 2.0)
    fill_value: float = 0.0

    def __post_init__(self) -> None:
        _check("factor", self.factor, 0.01, 100.0)


def scale(layer: RandomScale, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """Scales each image and puts it anywhere that it fits, or that fits into it."""
    count = tf.shape(images)[0]
    low, high = (math.log(factor) for factor in layer.factor)
    factor = tf.exp(low + (high - low) * seeds.uniform(count))
    height, width = _size(images)
    top, left = ((1.0 - factor) * side * seeds.uniform(count) for side in (height, width))
    return _placed(factor, factor, left, top)


@dataclasses.dataclass(frozen=True)
class RandomObjectCrop:
    """Cuts out a window with the centre of at least one object in it, and stretches it to the image's size.

    Objects whose centres are outside of the window are dropped, others are cut to it. Of an image without
    objects any window is taken.

    Args:
        factor: The least and the largest share of a side, in (0, 1]; drawn for height and width apart.

    Source: Liu et al., "SSD", ECCV 2016, section 2.2 (data augmentation).
    """

    factor: Range = (0.5, 1.0)

    def __post_init__(self) -> None:
        _check("factor", self.factor, 0.01, 1.0)


class ObjectCrop(Geometry):
    """What `RandomObjectCrop` does to a batch.

    Args:
        layer: Its arguments.
    """

    def __init__(self, layer: RandomObjectCrop):
        super().__init__(layer, _whole, None)
        self._factor = layer.factor

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        if "bounding_boxes" not in batch:
            raise ValueError("expected boxes. Use random_crop where there are none")
        window = self._window(batch, seeds)
        low, high = tf.split(window, 2, -1)
        centers, _ = to_centers(batch["bounding_boxes"]["boxes"])
        inside = tf.reduce_all((centers >= low[:, tf.newaxis]) & (centers <= high[:, tf.newaxis]), -1)
        kept = {**batch, "bounding_boxes": boxes.keep(batch["bounding_boxes"], inside)}
        height, width = _size(batch["images"])
        factor = tf.stack([width, height]) / (high - low)
        left, top = tf.unstack(-low * factor, axis=-1)
        return self.moved(kept, _placed(factor[:, 0], factor[:, 1], left, top))

    def _window(self, batch: Batch, seeds: Seeds) -> tf.Tensor:
        """Returns float32 [n, 4], xyxy in pixels."""
        found, count = batch["bounding_boxes"], tf.shape(batch["images"])[0]
        height, width = _size(batch["images"])
        size = tf.stack([width, height])
        low, high = self._factor
        share = tf.stack([low + (high - low) * seeds.uniform(count) for _ in range(2)], -1)
        room = size * (1.0 - share)  # where its left upper corner can be
        lottery = tf.random.stateless_uniform(tf.shape(found["labels"]), seeds.next(), 0.5, 1.0)
        chosen = tf.argmax(tf.where(found["labels"] >= 0, lottery, 0.0), 1)
        center = tf.gather(to_centers(found["boxes"])[0], chosen, batch_dims=1)
        is_any = tf.reduce_any(found["labels"] >= 0, 1, keepdims=True)
        least = tf.where(is_any, tf.clip_by_value(center - size * share, 0.0, room), 0.0)
        most = tf.where(is_any, tf.clip_by_value(center, 0.0, room), room)
        place = tf.stack([seeds.uniform(count) for _ in range(2)], -1)
        corner = least + (most - least) * place
        return tf.concat([corner, corner + size * share], -1)


@dataclasses.dataclass(frozen=True)
class RandomMosaic:
    """Four images of the batch around a point: each image beside, above and below three others.

    Args:
        factor: The least and the largest scale of the four, > 0; one for both sides.
        middle: The least and the largest share of a side at which they meet, in (0, 1).
        fill_value: Where an image does not reach, in [0, 255].

    Source: Bochkovskiy et al., "YOLOv4", 2020, section 3.3.
    """

    factor: Range = (0.5, 1.0)
    middle: Range = (0.35, 0.65)
    fill_value: float = 114.0

    def __post_init__(self) -> None:
        _check("factor", self.factor, 0.01, 100.0)
        _check("middle", self.middle, 0.01, 0.99)


class Mosaic(Geometry):
    """What `RandomMosaic` does to a batch.

    Args:
        layer: Its arguments.
    """

    def __init__(self, layer: RandomMosaic):
        super().__init__(layer, _whole, None)
        self._of = layer

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        if "labels" in batch:
            raise ValueError("expected boxes or masks, as an image has one class. Use cut_mix")
        batch = {**batch, "images": tf.cast(batch["images"], tf.float32)}
        count, (height, width) = tf.shape(batch["images"])[0], _size(batch["images"])
        low, high = self._of.middle
        x, y = ((low + (high - low) * seeds.uniform(count)) * side for side in (width, height))
        x, y = tf.round(x), tf.round(y)
        zero, across, down = tf.zeros_like(x), tf.fill([count], width), tf.fill([count], height)
        windows = (zero, zero, x, y), (x, zero, across, y), (zero, y, x, down), (x, y, across, down)
        parts = []
        for number, window in enumerate(windows):
            part = _others(batch, seeds) if number else batch
            factor = self._factors(count, seeds)
            # the corner of the image that is nearest to the middle lies there
            left = x - factor * width if number in (0, 2) else x
            top = y - factor * height if number in (0, 1) else y
            parts.append((self.moved(part, _placed(factor, factor, left, top)), tf.stack(window, -1)))
        return _together(batch, parts)

    def _factors(self, count: tf.Tensor, seeds: Seeds) -> tf.Tensor:
        low, high = self._of.factor
        return low + (high - low) * seeds.uniform(count)


def _others(batch: Batch, seeds: Seeds) -> Batch:
    """Returns the batch in another order."""
    count = tf.shape(batch["images"])[0]
    order = tf.random.experimental.stateless_shuffle(tf.range(count), seeds.next())
    return tf.nest.map_structure(lambda values: tf.gather(values, order), batch)


def _together(batch: Batch, parts: list[tuple[Batch, tf.Tensor]]) -> Batch:
    """Returns what each part shows in its window, float32 [n, 4] xyxy; the windows fill the image."""
    made = dict(batch)
    rows, columns = (tf.range(side, dtype=tf.float32) + 0.5 for side in _size(batch["images"]))
    for name in ("images", "segmentation_masks"):
        if name in batch:
            shown = [
                _shown(behind(part[name], batch, number), window, rows, columns)
                for number, (part, window) in enumerate(parts)
            ]
            made[name] = tf.ensure_shape(tf.add_n(shown), batch[name].shape)
    if "bounding_boxes" in batch:
        found = [boxes.clip(part["bounding_boxes"], window[:, tf.newaxis]) for part, window in parts]
        made["bounding_boxes"] = join(*found)
    return made


def _shown(values: tf.Tensor, window: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    left, top, right, bottom = (side[:, tf.newaxis] for side in tf.unstack(window, axis=-1))
    down, across = (rows > top) & (rows < bottom), (columns > left) & (columns < right)
    seen = down[:, :, tf.newaxis] & across[:, tf.newaxis]
    return tf.where(seen[..., tf.newaxis], values, tf.zeros_like(values))


def _placed(x: tf.Tensor, y: tf.Tensor, left: tf.Tensor, top: tf.Tensor) -> tf.Tensor:
    """Returns the matrix of an image that is scaled by x and y, its corner put at (left, top) in pixels."""
    # whole numbers are centres of pixels: half a pixel more in coordinates
    return matrix_of(1.0 / x, 0.0, (0.5 - left) / x - 0.5, 0.0, 1.0 / y, (0.5 - top) / y - 0.5)


def _whole(layer: typing.Any, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    del layer, seeds
    return tf.eye(3, batch_shape=[tf.shape(images)[0]])


def _size(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    height, width = tf.unstack(tf.cast(tf.shape(images)[1:3], tf.float32))
    return height, width


def _check(name: str, values: typing.Any, least: float, most: float) -> None:
    """Refuses what are no two numbers in order."""
    numbers = isinstance(values, list | tuple) and all(type(one) in (int, float) for one in values)
    if not numbers or len(values) != 2 or not least <= values[0] <= values[1] <= most:
        raise ValueError(
            f"expected two numbers in [{least:g}, {most:g}], the less first. Received: {name}={values}"
        )
