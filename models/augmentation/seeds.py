"""Random numbers that are a function of a seed and the order of asking."""

import keras
import tensorflow as tf


class Seeds(keras.random.SeedGenerator):
    """Hands out seeds to Keras's layers.

    A stock SeedGenerator counts in a variable, which parallel tf.data workers would race for.

    Args:
        seed: int32 or int64 [2].
    """

    def __init__(self, seed: tf.Tensor):  # not super's, which makes that variable
        self._seed = seed
        self._asked = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns a seed that was not handed out before, [2]."""
        del ordered
        self._asked += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._asked)

    def uniform(self, count: tf.Tensor) -> tf.Tensor:
        """Returns float32 [count] in [0, 1)."""
        return tf.random.stateless_uniform([count], self.next())

    def integers(self, count: tf.Tensor, below: int | tf.Tensor) -> tf.Tensor:
        """Returns int32 [count] in [0, below)."""
        return tf.random.stateless_uniform([count], self.next(), 0, below, tf.int32)


def batch_seed(seed: int, number: tf.Tensor) -> tf.Tensor:
    """Returns the seed of a batch, [2].

    Args:
        seed: Of the run, at least 0.
        number: int64 [], of the batch.
    """
    words = tf.constant([seed % 2**31, seed // 2**31 % 2**31], tf.int32)
    return tf.random.experimental.stateless_fold_in(words, tf.cast(number, tf.int64))
