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

    def as_they_are() -> tf.Tensor:  # all at once: there may be no image
        rows, columns = (tf.range(largest[axis]) < sizes[:, axis : axis + 1] for axis in (0, 1))
        found = _likeliest(logits[:, : largest[0], : largest[1]])
        return tf.where(rows[:, :, tf.newaxis] & columns[:, tf.newaxis], found, tf.cast(VOID, tf.uint8))

    def resized(item: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        scores, size, own = item
        found = _likeliest(tf.image.resize(scores[: size[0], : size[1]], own))
        missing = largest - own
        return tf.pad(found, [[0, missing[0]], [0, missing[1]]], constant_values=VOID)

    found = tf.cond(
        tf.reduce_all(sizes == valid),
        as_they_are,
        lambda: tf.map_fn(resized, (logits, valid, sizes), fn_output_signature=tf.uint8),
    )
    return tf.ensure_shape(found, [None, None, None])


def _likeliest(logits: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.uint8)
