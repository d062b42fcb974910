"""Takes the pixels of a batch from elsewhere in their image."""

import keras
import tensorflow as tf


def warp(
    images: tf.Tensor, matrix: tf.Tensor, interpolation: str, fill_mode: str, fill_value: float
) -> tf.Tensor:
    """Moves pixels anywhere.

    Args:
        images: [n, height, width, channels], of any type.
        matrix: float32 [n, 3, 3]; from (column, row, 1) of the result to that in `images`.
        interpolation: As in `keras.ops.image.affine_transform`; so are the others.
        fill_mode: What is outside.
        fill_value: Of what is outside, for fill_mode "constant".
    """
    flat = tf.reshape(matrix, [-1, 9])
    transform = flat[:, :8] / flat[:, 8:]
    return keras.ops.image.affine_transform(images, transform, interpolation, fill_mode, fill_value)


def take(images: tf.Tensor, matrix: tf.Tensor, fill_mode: str, fill_value: float) -> tf.Tensor:
    """Like `warp` for mirroring and shifts by whole pixels, exactly and several times as fast."""
    count, height, width, channels = tf.unstack(tf.shape(images))
    beyond = count * height * width  # where one more pixel is: the filling
    flat = tf.concat([tf.reshape(images, [-1, channels]), _pixel(fill_value, images)], 0)
    starts = tf.range(count)[:, tf.newaxis] * height
    row, inside = _places(matrix[:, 1, 1], matrix[:, 1, 2], height, fill_mode)
    rows = tf.where(inside, (starts + row) * width, beyond)
    column, inside = _places(matrix[:, 0, 0], matrix[:, 0, 2], width, fill_mode)
    columns = tf.where(inside, column, beyond)
    places = tf.minimum(rows[:, :, tf.newaxis] + columns[:, tf.newaxis, :], beyond)
    return tf.ensure_shape(tf.gather(flat, places), images.shape)


def _pixel(value: float, images: tf.Tensor) -> tf.Tensor:
    return tf.fill([1, tf.shape(images)[-1]], tf.cast(value, images.dtype))


def _places(
    scale: tf.Tensor, start: tf.Tensor, length: tf.Tensor, fill_mode: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where each pixel of a row or column comes from and whether that is inside, [n, length]."""
    places = (
        tf.cast(scale, tf.int32)[:, tf.newaxis] * tf.range(length) + tf.cast(start, tf.int32)[:, tf.newaxis]
    )
    if fill_mode == "wrap":
        places %= length
    elif fill_mode == "reflect":  # d c b a | a b c d | d c b a
        places %= 2 * length
        places = tf.minimum(places, 2 * length - 1 - places)
    elif fill_mode == "nearest":
        places = tf.clip_by_value(places, 0, length - 1)
    return places, (places >= 0) & (places < length)
