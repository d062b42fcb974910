"""Masks and maps of classes, between images' own pixels and the model's; in a graph."""

import tensorflow as tf

from conveyor.models.ops.frames import Frame, valid_size
from conveyor.models.void import VOID


def resize_mask(mask: tf.Tensor, frame: Frame, shape: tf.Tensor) -> tf.Tensor:
    """Brings a mask to the size of the model's input: nearest neighbour, void beyond the image.

    Args:
        mask: uint8 or int32 [height, width, 1], of the image's own size.
        frame: Of the one image.
        shape: int32 [2], height and width of the result.

    Returns:
        The same dtype, [*shape, 1].
    """
    valid = valid_size(frame)
    same = tf.reduce_all(tf.shape(mask)[:2] == valid)
    resized = tf.cond(same, lambda: mask, lambda: tf.image.resize(mask, valid, "nearest"))
    missing = shape - valid
    padded = tf.pad(resized, [[0, missing[0]], [0, missing[1]], [0, 0]], constant_values=VOID)
    static = tf.get_static_value(shape)
    return tf.ensure_shape(padded, [*((None, None) if static is None else static), 1])


def class_maps(logits: tf.Tensor, frame: Frame) -> tf.Tensor:
    """Returns the likeliest class of each of the images' own pixels.

    Logits are resized bilinearly, not classes: outlines stay smooth.

    Args:
        logits: float32 [n, height, width, classes], in pixels of the model's input; at most 255 classes.
        frame: Of the images.

    Returns:
        uint8 [n, largest height, largest width], 255 outside of an image.
    """
    sizes, valid = frame["sizes"], valid_size(frame)
    largest = tf.reduce_max(tf.concat([sizes, [[0, 0]]], 0), 0)

    def classes_of(item: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        scores, size, own = item
        scores = scores[: size[0], : size[1]]
        same = tf.reduce_all(size == own)
        scores = tf.cond(same, lambda: scores, lambda: tf.image.resize(scores, own))
        found = tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), tf.uint8)
        missing = largest - own
        return tf.pad(found, [[0, missing[0]], [0, missing[1]]], constant_values=VOID)

    found = tf.cond(  # TensorFlow cannot stack nothing
        tf.shape(logits)[0] > 0,
        lambda: tf.map_fn(classes_of, (logits, valid, sizes), fn_output_signature=tf.uint8),
        lambda: tf.zeros([0, *tf.unstack(largest)], tf.uint8),
    )
    return tf.ensure_shape(found, [None, None, None])
