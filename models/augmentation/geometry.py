"""How the geometric layers move pixels: a matrix for each image."""

import dataclasses
import math
import typing

import keras
import tensorflow as tf

from conveyor.models.augmentation.seeds import Seeds


class Move(typing.Protocol):
    """What a layer draws for a batch."""

    def __call__(self, layer: typing.Any, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
        """Returns float32 [n, 3, 3].

        From a pixel of the result to the pixel it is taken from; both (column, row, 1), whole numbers
        being centres of pixels.
        """
        ...


def rotation(layer: keras.layers.RandomRotation, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """Turns about the middle."""
    angle = layer.get_random_transformation(images, seed=seeds)["angle"] * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    height, width = _size(images)
    x, y = (width - 1) / 2, (height - 1) / 2
    return matrix_of(cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos)


def translation(layer: keras.layers.RandomTranslation, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """Shifts."""
    shift = layer.get_random_transformation(images, seed=seeds)["translations"]
    return matrix_of(1.0, 0.0, -shift[:, 0], 0.0, 1.0, -shift[:, 1])


def zoom(layer: keras.layers.RandomZoom, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """Scales about the middle."""
    drawn = layer.get_random_transformation(images, seed=seeds)
    height, width = _size(images)
    x, y = drawn["width_zoom"][:, 0], drawn["height_zoom"][:, 0]
    return matrix_of(x, 0.0, (width - 1) / 2 * (1 - x), 0.0, y, (height - 1) / 2 * (1 - y))


def shear(layer: keras.layers.RandomShear, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """Slants about the upper left pixel."""
    factor = layer.get_random_transformation(images, seed=seeds)["shear_factor"]
    return matrix_of(1.0, factor[:, 0], 0.0, factor[:, 1], 1.0, 0.0)


def perspective(layer: keras.layers.RandomPerspective, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """Moves the corners of some of the images.

    Source: Hartley & Zisserman, Multiple View Geometry, section 4.1: eight equations for four points.
    """
    drawn = layer.get_random_transformation(images, seed=seeds)
    sources, results = drawn["start_points"], drawn["end_points"]
    x, y = results[..., 0], results[..., 1]
    nought, one = tf.zeros_like(x), tf.ones_like(x)
    u, v = sources[..., 0], sources[..., 1]
    first = tf.stack([x, y, one, nought, nought, nought, -u * x, -u * y], -1)
    second = tf.stack([nought, nought, nought, x, y, one, -v * x, -v * y], -1)
    unknown = tf.linalg.solve(tf.concat([first, second], 1), tf.concat([u, v], 1)[..., tf.newaxis])[..., 0]
    return tf.where(
        drawn["apply_perspective"][:, None, None], matrix_of(*tf.unstack(unknown, axis=1)), tf.eye(3)
    )


def flip(layer: keras.layers.RandomFlip, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """Mirrors half of the images; in each of two directions by itself, where Keras turns by 180 degrees."""
    height, width = _size(images)
    across, down = (seeds.uniform(tf.shape(images)[0]) < 0.5 for _ in range(2))
    across &= "horizontal" in layer.mode
    down &= "vertical" in layer.mode
    x, y = (tf.where(mirrored, -1.0, 1.0) for mirrored in (across, down))
    return matrix_of(x, 0.0, (width - 1) * (1 - x) / 2, 0.0, y, (height - 1) * (1 - y) / 2)


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """Keras's RandomCrop, drawn for each image apart, out of padded images, and of the size that they had.

    Args:
        padding: Pixels that are added on each side first.
        height: Of what is cut out, which is stretched to the image's height; None is that height.
        width: Likewise.
        fill_mode: What is outside of the image: as in RandomTranslation.
        fill_value: Of what is outside, for fill_mode "constant".
    """

    padding: int = 0
    height: int | None = None
    width: int | None = None
    fill_mode: str = "constant"
    fill_value: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("padding", 0), ("height", 1), ("width", 1)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not least <= value <= 10_000):
                raise ValueError(f"expected a whole number of pixels from {least}. Received: {name}={value}")
        if not (self.padding or self.height or self.width):
            raise ValueError("expected padding, or height and width")
        keras.layers.RandomTranslation(0.0, 0.0, self.fill_mode, fill_value=self.fill_value)  # refuses others


def crop(layer: RandomCrop, images: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """Cuts a part out of each image."""
    height, width = tf.unstack(tf.shape(images)[1:3])
    y, top = _cut(height, layer.height, layer.padding, tf.shape(images)[0], seeds)
    x, left = _cut(width, layer.width, layer.padding, tf.shape(images)[0], seeds)
    return matrix_of(x, 0.0, left, 0.0, y, top)


def _cut(
    side: tf.Tensor, wanted: int | None, padding: int, count: tf.Tensor, seeds: Seeds
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns by what a side is scaled, float32 [], and where the cuts start, [n]."""
    length = side if wanted is None else tf.constant(wanted)
    room = side + 2 * padding - length
    if tf.get_static_value(room) is not None and tf.get_static_value(room) < 0:
        raise ValueError(f"expected crops within images of {side} pixels. Received: {length} pixels")
    start = tf.cast(seeds.integers(count, room + 1) - padding, tf.float32)
    scale = tf.cast(length, tf.float32) / tf.cast(side, tf.float32)
    return scale, start + (scale - 1) / 2


def _size(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.cast(tf.shape(images), tf.float32)
    return shape[1], shape[2]


def matrix_of(*entries: typing.Any) -> tf.Tensor:
    """Returns [n, 3, 3] from its first six or eight entries, each [n] or a number."""
    entries = (*entries, 0.0, 0.0)[:8]
    count = tf.shape(next(entry for entry in entries if tf.is_tensor(entry) and entry.shape.rank))
    return tf.reshape(tf.stack([tf.broadcast_to(entry, count) for entry in (*entries, 1.0)], 1), [-1, 3, 3])
