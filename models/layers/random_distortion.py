"""Random distortions of digits, in a graph: the augmentation that goes with `data.distort`."""

import math
import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.layers.bilinear_sampler import sample
from conveyor.models.layers.grid_generator import GridGenerator, regular_points

_FRAME, _INK = 28, 20  # MNIST: side of a frame, and of the square in its middle that holds the ink
_PIXEL = 2 / (_FRAME - 1)  # in the coordinates of grids
_CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)  # clockwise
_TRIES = 16  # of corners, of which enough are fit that one of so many is
Draw = typing.Callable[..., tf.Tensor]


@keras.saving.register_keras_serializable("conveyor")
class RandomDistortion(keras.layers.Layer):
    """Distorts each image of a batch at random, about its middle; what is left of it is 0.

    - R: rotated by -90 to 90 degrees.
    - RTS: rotated by -45 to 45 degrees, scaled by 0.7 to 1.2, and moved as far as the ink stays inside;
      for frames on a larger canvas, such as 42 x 42.
    - P: scaled by 0.75 to 1, its corners moved by normal distances with a deviation of 5 pixels.
    - E: scaled by 0.75 to 1, bent by a spline whose 4 x 4 control points are moved by normal distances
      with a deviation of 1.5 pixels.

    Lengths are those of MNIST's frames of 28 pixels with 20 of ink, and images are square. Only pixels
    move: neither boxes nor masks are taken.

    Args:
        kind: "R", "RTS", "P" or "E".

    Raises:
        ValueError: There is no such kind.

    Source: Jaderberg et al., "Spatial Transformer Networks", NIPS 2015, section 4.1 and appendix A.4.
    """

    def __init__(self, kind, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        if kind not in _KINDS:
            raise ValueError(
                f"random_distortion: expected kind to be one of {', '.join(_KINDS)}. Received: {kind}"
            )
        self.kind = kind

    def get_random_transformation(self, data, training=True, seed=None):
        """Returns the parameters of a `GridGenerator`, float32 [n, parameters]; None outside training.

        Args:
            data: [n, side, side, channels].
            training: Whether to distort.
            seed: A `keras.random.SeedGenerator`.

        Raises:
            ValueError: Images are not square.
        """
        if not training:
            return None
        if data.shape[1] != data.shape[2]:
            raise ValueError(f"random_distortion: expected square images. Received: {data.shape[1:]}")
        return _KINDS[self.kind][1](tf.shape(data)[0], data.shape[1], seed)

    def transform_images(self, images, transformation, training=True):
        """Returns float32 [n, side, side, channels].

        Args:
            images: [n, side, side, channels].
            transformation: What `get_random_transformation` gave.
            training: Whether to distort.
        """
        if not training or transformation is None:
            return images
        transform = _KINDS[self.kind][0]
        if transform == "affine":
            return _move_affine(images, transformation)
        return sample(images, GridGenerator(images.shape[1:3], transform)(transformation))

    def transform_labels(self, labels, transformation, training=True):
        """Returns the labels: a distorted digit is the same digit."""
        del transformation, training
        return labels

    def call(self, images, training=True):
        """Distorts a batch in training, by random numbers of Keras's own."""
        drawn = self.get_random_transformation(images, training, keras.random.SeedGenerator())
        return self.transform_images(images, drawn, training)

    def compute_output_shape(self, images_shape):
        return images_shape

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


def _move_affine(images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
    """Returns what `sample` does on the grid of affine parameters [n, 6], several times as fast.

    In pixels, where the middle is at (side - 1) / 2, each row (a, b, c) of a matrix takes x, y to
    a (x - middle) + b (y - middle) + (c + 1) middle.
    """
    middle = (images.shape[1] - 1) / 2
    rows = tf.reshape(parameters, [-1, 2, 3])
    shift = middle * (rows[..., 2] + 1.0 - rows[..., 0] - rows[..., 1])
    matrix = tf.reshape(tf.concat([rows[..., :2], shift[..., tf.newaxis]], axis=-1), [-1, 6])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.pad(matrix, [[0, 0], [0, 2]]),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _uniform(count: tf.Tensor, low: typing.Any, high: typing.Any, seed: typing.Any) -> tf.Tensor:
    return low + (high - low) * keras.random.uniform((count,), seed=seed)


def _rotation(count: tf.Tensor, side: int, seed: typing.Any) -> tf.Tensor:
    del side
    zero = tf.zeros([count])
    return _similarity(_uniform(count, -90.0, 90.0, seed), tf.ones([count]), zero, zero)


def _rts(count: tf.Tensor, side: int, seed: typing.Any) -> tf.Tensor:
    degrees, scale = _uniform(count, -45.0, 45.0, seed), _uniform(count, 0.7, 1.2, seed)
    angle = tf.abs(degrees) * (math.pi / 180)
    room = side / 2 - scale * _INK / 2 * (tf.cos(angle) + tf.sin(angle))  # of the turned square of ink
    room = tf.maximum(room, 0.0) * 2 / (side - 1)
    return _similarity(degrees, scale, _uniform(count, -room, room, seed), _uniform(count, -room, room, seed))


def _similarity(degrees: tf.Tensor, scale: tf.Tensor, right: tf.Tensor, down: tf.Tensor) -> tf.Tensor:
    """Returns the affine parameters [n, 6] that turn images counter-clockwise, scale and move them."""
    angle = degrees * (math.pi / 180)
    cos, sin = tf.cos(angle) / scale, tf.sin(angle) / scale
    rows = [cos, -sin, sin * down - cos * right, sin, cos, -sin * right - cos * down]
    return tf.stack(rows, axis=-1)


def _projective(count: tf.Tensor, side: int, seed: typing.Any) -> tf.Tensor:
    """Draws corners several times, and takes the first that still go round in their order."""
    del side
    scale = keras.random.uniform((count, 1, 1, 1), 0.75, 1.0, seed=seed)
    moved = scale * _CORNERS + keras.random.normal((count, _TRIES, 4, 2), stddev=5 * _PIXEL, seed=seed)
    edges = tf.roll(moved, -1, axis=2) - moved
    following = tf.roll(edges, -1, axis=2)
    turns = edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]
    fit = tf.reduce_all(turns > (_FRAME * _PIXEL) ** 2 / 8, axis=-1)
    first = tf.argmax(tf.cast(fit, tf.int32), axis=1)
    return _homography(tf.gather(moved, first, batch_dims=1))


def _homography(corners: tf.Tensor) -> tf.Tensor:
    """Returns the projective parameters [n, 8] that pull an image's corners elsewhere, [n, 4, 2]."""
    x, y = corners[..., 0], corners[..., 1]
    zero, one = tf.zeros_like(x), tf.ones_like(x)
    from_x = tf.stack([x, y, one, zero, zero, zero, -x * _CORNERS[:, 0], -y * _CORNERS[:, 0]], axis=-1)
    from_y = tf.stack([zero, zero, zero, x, y, one, -x * _CORNERS[:, 1], -y * _CORNERS[:, 1]], axis=-1)
    right = tf.broadcast_to(_CORNERS, tf.shape(corners))
    equations = tf.concat([from_x, from_y], axis=1)
    return tf.linalg.solve(equations, tf.concat([right[..., :1], right[..., 1:]], axis=1))[..., 0]


def _elastic(count: tf.Tensor, side: int, seed: typing.Any) -> tf.Tensor:
    del side
    scale = keras.random.uniform((count, 1, 1), 0.75, 1.0, seed=seed)
    moves = keras.random.normal((count, 16, 2), stddev=1.5 * _PIXEL, seed=seed)
    return tf.reshape(regular_points(4, 4) / scale + moves, [-1, 32])


_KINDS: dict[str, tuple[str, Draw]] = {  # the transform, and what draws its parameters
    "R": ("affine", _rotation),
    "RTS": ("affine", _rts),
    "P": ("projective", _projective),
    "E": ("thin_plate_spline", _elastic),
}
