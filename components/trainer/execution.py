"""Keras's train function, which counts its steps: many in one graph call, none twice."""
# ruff: noqa: ARG002  (callbacks take what Keras gives)

import time
import typing

import keras
import numpy as np
import tensorflow as tf


class Execution(keras.callbacks.Callback):
    """Runs the steps of `keras.Model.fit`; a callback and its train function in one.

    Keras's own function runs on until a call has `steps_per_execution` steps or the data ends; with one
    data set for all epochs that is beyond the end of an epoch. This one ends with the epoch, leaves out
    steps that were done before training was resumed, and measures how long it waits for data. The
    optimiser and metrics of the model must be built.

    Args:
        steps: Steps an epoch.
        done: Steps that are done already, of all epochs.
    """

    def __init__(self, steps: int, done: int = 0):
        super().__init__()
        self.steps = steps
        self._done = tf.Variable(done, dtype=tf.int64, trainable=False)
        self._waited = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._epoch, self._begin = 0, 0
        self._run: typing.Any = None
        self.good: tuple[int, list[np.ndarray]] = (done, [])

    @property
    def done(self) -> int:
        """Steps that are done, of all epochs."""
        return int(self._done)

    @property
    def waited(self) -> float:
        """Seconds that steps waited for their batches."""
        return float(self._waited)

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        model.train_function = self
        self._run = _make_run(model, self._done, self._waited)

    def on_train_begin(self, logs: dict[str, typing.Any] | None = None) -> None:
        self._keep()

    def on_epoch_begin(self, epoch: int, logs: dict[str, typing.Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, typing.Any] | None = None) -> None:
        self._begin = self._epoch * self.steps + batch

    def __call__(self, iterator: typing.Any) -> dict[str, tf.Tensor]:
        """Runs the steps of one call; returns the metrics so far.

        Raises:
            FloatingPointError: The loss became NaN or infinite.
        """
        end = min(self._begin + self.model.steps_per_execution, (self._epoch + 1) * self.steps)
        left = end - self.done
        if left <= 0:
            return self.model.get_metrics_result()
        results = self._run(iterator, tf.constant(left))
        if not np.isfinite(results["loss"]):  # under XLA `train_step` cannot tell
            raise FloatingPointError
        self._keep()
        return results

    def _keep(self) -> None:
        """Keeps a copy of the weights if they are numbers."""
        weights = self.model.get_weights()
        if all(np.isfinite(values).all() for values in weights):
            self.good = (self.done, weights)


def _make_run(model: keras.Model, done: tf.Variable, waited: tf.Variable) -> typing.Any:
    """Returns a graph function from an iterator and a number of steps to the metrics.

    The last step is timed for all: a call of Python takes as long as a small step.
    """
    strategy = model.distribute_strategy

    @tf.autograph.experimental.do_not_convert
    def one_step(batch: typing.Any) -> tf.Tensor:
        strategy.run(model.train_step, args=(batch,))
        return tf.convert_to_tensor(model.optimizer.iterations)  # what comes after the step can wait for it

    compiled = tf.function(one_step, reduce_retracing=True, jit_compile=model.jit_compile)

    @tf.function(reduce_retracing=True, autograph=False)
    def run(iterator: typing.Any, count: tf.Tensor) -> dict[str, tf.Tensor]:
        def body(number: tf.Tensor) -> list[tf.Tensor]:  # once in the graph: it takes long to prepare
            is_last = tf.equal(number, count - 1)
            began = _clock(is_last)
            with tf.control_dependencies([began]):
                batch = iterator.get_next()
            with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                took = _clock(is_last) - began
            with tf.control_dependencies([compiled(batch)]):
                counted = [done.assign_add(1, read_value=False)]
            counted += [waited.assign_add(took * tf.cast(count, tf.float64), read_value=False)]
            with tf.control_dependencies(counted):
                return [number + 1]

        (ran,) = tf.while_loop(lambda number: number < count, body, [tf.constant(0)])
        with tf.control_dependencies([ran]):
            return model.get_metrics_result()

    return run


def _clock(is_wanted: tf.Tensor) -> tf.Tensor:
    """Returns the time in seconds, or 0; `tf.timestamp` is forbidden where operations are deterministic."""
    zero = tf.constant(0.0, tf.float64)
    return tf.cond(is_wanted, lambda: tf.numpy_function(time.monotonic, [], tf.float64), lambda: zero)
