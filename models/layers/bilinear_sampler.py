"""The sampler of a spatial transformer."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("conveyor")
class BilinearSampler(keras.layers.Layer):
    """Looks up an image at the points of a grid; between pixels bilinearly, 0 outside.

    Points are pairs of x (to the right) and y (down): -1 and 1 are the centres of the first and the last
    pixel of a row or column. Between the outermost centres and one pixel further out values fall to 0.
    Differentiable in the image, and in the grid where a point is not on a pixel's row or column.

    Call arguments:
        images: [n, height, width, channels], of any dtype.
        grid: float32 [n, rows, columns, 2]: x and y.

    Returns:
        [n, rows, columns, channels] of the layer's compute dtype; computed in float32.

    Source: Jaderberg et al., "Spatial Transformer Networks", NIPS 2015, equations 5 to 7.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)  # half precision cannot tell pixels apart

    def call(self, images, grid):
        return tf.cast(sample(images, grid), self.compute_dtype)

    def compute_output_shape(self, images_shape, grid_shape):
        return (*grid_shape[:3], images_shape[-1])


def sample(images: tf.Tensor, grid: tf.Tensor) -> tf.Tensor:
    """Returns what images show at the points of grids; see `BilinearSampler`.

    Args:
        images: [n, height, width, channels], of any dtype; static but for n.
        grid: float32 [n, rows, columns, 2].

    Returns:
        float32 [n, rows, columns, channels].
    """
    height, width, channels = images.shape[1:]
    grid = tf.cast(grid, tf.float32)
    left, across = _pixel(grid[..., 0], width)
    top, down = _pixel(grid[..., 1], height)
    across, down = across[..., None], down[..., None]
    row = width + 2  # with a border of zeros on all sides, so that every neighbour is a pixel
    pixels = tf.pad(tf.cast(images, tf.float32), [[0, 0], [1, 1], [1, 1], [0, 0]])
    pixels = tf.reshape(pixels, [-1, channels])
    first = tf.range(tf.shape(images)[0]) * ((height + 2) * row)
    place = first[:, None, None] + top * row + left
    upper_left, upper_right = tf.gather(pixels, place), tf.gather(pixels, place + 1)
    lower_left, lower_right = tf.gather(pixels, place + row), tf.gather(pixels, place + row + 1)
    upper = upper_left + across * (upper_right - upper_left)
    lower = lower_left + across * (lower_right - lower_left)
    return upper + down * (lower - upper)


def _pixel(place: tf.Tensor, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the pixel before a coordinate along one side, int32, and how far behind it is, in [0, 1].

    Pixels are counted from the border, which is pixel 0.
    """
    place = (place + 1.0) * ((side - 1) / 2) + 1.0
    place = tf.clip_by_value(place, 0.0, side + 1.0)  # a point further away sees the border all the same
    # A coordinate that is no number is at no pixel, yet must not be looked up outside the image.
    pixel = tf.clip_by_value(tf.cast(tf.floor(place), tf.int32), 0, side)
    return pixel, place - tf.cast(pixel, tf.float32)
