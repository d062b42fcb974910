"""How images lie in the model's input. The one place that says so.

A **frame** is a dict of `sizes`, int32 [n, 2]: the images' own heights and widths in pixels; and
`scales`, float32 [n, 2]: pixels of the model's input for one of the image's own, down and across. The
frame of one image has no n. There is never an offset, as padding is at the bottom and the right: a
coordinate of the image is one of the model's input divided by the scale, and of the model's input
round(size * scale) rows and columns are the image.
"""

import tensorflow as tf

Frame = dict[str, tf.Tensor]


def frame_of(own: tf.Tensor, fitted: tf.Tensor) -> Frame:
    """Returns the frame of images of a size that were given another.

    Args:
        own: int32 [..., 2], heights and widths.
        fitted: int32 [..., 2], what became of them.
    """
    return {"sizes": own, "scales": tf.cast(fitted, tf.float32) / tf.cast(own, tf.float32)}


def whole_frame(inputs: tf.Tensor) -> Frame:
    """Returns the frame of images [n, height, width, channels] that are the model's input themselves."""
    shape = tf.shape(inputs)
    sizes = tf.tile(shape[tf.newaxis, 1:3], [shape[0], 1])
    return frame_of(sizes, sizes)


def fit_size(own: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Returns the largest height and width of the same shape that fits in a size, int32 [..., 2].

    Args:
        own: int32 [..., 2], height and width of the image.
        size: Height and width to fit it in.
    """
    room = tf.constant(size)
    scale = tf.reduce_min(tf.cast(room, tf.float64) / tf.cast(own, tf.float64), -1, keepdims=True)
    fitted = tf.cast(tf.round(tf.cast(own, tf.float64) * scale), tf.int32)
    return tf.clip_by_value(fitted, 1, room)


def valid_size(frame: Frame) -> tf.Tensor:
    """Returns how many rows and columns of the model's input are the image, int32 [..., 2]."""
    return tf.cast(tf.round(tf.cast(frame["sizes"], tf.float32) * frame["scales"]), tf.int32)
