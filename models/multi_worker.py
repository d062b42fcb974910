"""Keras's `fit` on several workers."""

import typing

import keras
import tensorflow as tf


class MultiWorker(keras.Model):
    """A model that Keras 3 can fit under MultiWorkerMirroredStrategy, which it cannot by itself.

    Source: https://github.com/keras-team/keras/issues/20585, open as of Keras 3.15.
    """

    def _maybe_symbolic_build(self, iterator: typing.Any = None, data_batch: typing.Any = None) -> None:
        """Builds from this worker's part of a batch. Keras asks for the mean of a tuple, over all workers."""
        if iterator is not None and _is_multi_worker(self.distribute_strategy):
            _, _, batches = next(iter(iterator))
            local = self.distribute_strategy.experimental_local_results
            data_batch = tf.nest.map_structure(lambda value: local(value)[0], next(batches))
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def compute_metrics(self, *arguments: typing.Any, **named: typing.Any) -> dict[str, tf.Tensor]:
        """Returns metrics of one axis on several workers, as Keras takes their mean over the first."""
        metrics = super().compute_metrics(*arguments, **named)
        if not _is_multi_worker(tf.distribute.get_strategy()):
            return metrics
        return {name: tf.reshape(value, [1]) for name, value in metrics.items()}


def _is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
