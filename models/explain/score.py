"""One number an example to differentiate, whatever the model answers."""

import typing

import keras
import tensorflow as tf


def is_map(raw: typing.Any) -> bool:
    """Whether raw outputs are a map of logits."""
    return bool(tf.is_tensor(raw)) and raw.shape.rank == 4


def score(raw: typing.Any) -> tf.Tensor:
    """Returns what an example's answer rests on, as float32 [n].

    Args:
        raw: Raw outputs. Of logits [n, classes] it is the largest. Of a map of logits [n, height, width,
            classes] it is the sum of the largest of each pixel that is told to be of another class than the
            first, the background; of all pixels where there is none. Of anything else, which is in a dict,
            half the sum of squares, of the features [n, d] in it where there are such, such as the code of
            an autoencoder: its gradient is the features themselves.

    Source: of maps, Vinogradova, Dibrov, Myers, "Towards interpretable semantic segmentation via
    gradient-weighted class activation mapping", AAAI 2020, equation 2.
    """
    if tf.is_tensor(raw) and raw.shape.rank == 2:
        return tf.cast(tf.reduce_max(raw, axis=-1), tf.float32)
    if is_map(raw):
        there = tf.argmax(raw, axis=-1) > 0
        there |= ~tf.reduce_any(there, axis=(1, 2), keepdims=True)
        largest = tf.cast(tf.reduce_max(raw, axis=-1), tf.float32)
        return tf.reduce_sum(tf.where(there, largest, 0.0), axis=(1, 2))
    tensors = [tensor for tensor in keras.tree.flatten(raw) if tensor.dtype.is_floating]
    features = [tensor for tensor in tensors if tensor.shape.rank == 2] or tensors
    squares = [tf.square(tf.cast(tensor, tf.float32)) for tensor in features]
    sums = [tf.reduce_sum(square, axis=list(range(1, square.shape.rank))) for square in squares]
    return tf.add_n(sums) / 2.0
