"""One number an example to differentiate, whatever the model answers."""

import typing

import keras
import tensorflow as tf


def score(raw: typing.Any) -> tf.Tensor:
    """Returns what an example's answer rests on, as float32 [n].

    Args:
        raw: Raw outputs. Of logits [n, classes] it is the largest. Of anything else (a dict, a map of
            logits) half the sum of squares, of the features [n, d] in it where there are such, such
            as the code of an autoencoder: its gradient is the features themselves.
    """
    if not isinstance(raw, dict) and tf.is_tensor(raw) and raw.shape.rank == 2:
        return tf.cast(tf.reduce_max(raw, axis=-1), tf.float32)
    tensors = [tensor for tensor in keras.tree.flatten(raw) if tensor.dtype.is_floating]
    features = [tensor for tensor in tensors if tensor.shape.rank == 2] or tensors
    squares = [tf.square(tf.cast(tensor, tf.float32)) for tensor in features]
    sums = [tf.reduce_sum(square, axis=list(range(1, square.shape.rank))) for square in squares]
    return tf.add_n(sums) / 2.0
