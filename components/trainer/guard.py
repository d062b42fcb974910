"""What went wrong where a loss or gradient is no number."""

import math
import pathlib
import typing

import keras
import tensorflow as tf

from conveyor.pipeline.errors import UserError

_GOOD = "last_good.keras"


def diverged(what: str, done: int, steps: int, kept: str = "") -> UserError:
    """Returns the error to tell.

    Args:
        what: Is no number.
        done: Steps done before, of all epochs.
        steps: Steps an epoch.
        kept: Where the last good weights are.
    """
    return UserError(
        f"training diverged in step {done % steps + 1} of epoch {done // steps + 1}: {what}",
        received=kept,
        where="section `trainer` of the config",
        fix="lower trainer.optimizer.learning_rate, or set trainer.optimizer.clip_norm",
    )


def keep_good(model: keras.Model, done: int, good: tuple[int, list[typing.Any]], folder: pathlib.Path) -> str:
    """Saves the model with its last weights that are numbers; returns where and of when they are."""
    if not all(_is_finite(values) for values in model.get_weights()):
        done, weights = good
        model.set_weights(weights)
    model.save(folder / _GOOD)
    return f"the weights after {done} good steps are kept in {folder / _GOOD}"


def first_bad(model: keras.Model, batch: tuple) -> str:
    """Returns the first thing in the model that is no number for a batch, in the order of its layers."""
    inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
    for layer in model.layers:
        if not all(_is_finite(values) for values in layer.get_weights()):
            return f"the weights of layer {layer.name!r} are not finite"
    if not all(_is_finite(values) for values in tf.nest.flatten(inputs)):
        return "the input is not finite"
    for layer, outputs in _outputs(model, inputs):
        if not all(_is_finite(values) for values in outputs):
            return f"the output of layer {layer!r} is not finite"
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, targets, model(inputs, training=True), weights, training=True)
    if not math.isfinite(float(loss)):
        return f"the loss is {float(loss)}"
    gradients = tape.gradient(loss, model.trainable_variables)
    pairs = zip(gradients, model.trainable_variables, strict=True)
    bad = [variable.path for gradient, variable in pairs if gradient is not None and not _is_finite(gradient)]
    return f"the gradient of {bad[-1]!r} is not finite" if bad else "the loss or a gradient is not finite"


def _outputs(model: keras.Model, inputs: typing.Any) -> typing.Iterator[tuple[str, list[tf.Tensor]]]:
    """Yields each layer's name and outputs for a batch, in the graph's order, as in training."""
    layers = [layer for layer in model.layers if len(layer._inbound_nodes) == 1]
    probe = keras.Model(model.input, [layer.output for layer in layers])
    for layer, output in zip(layers, probe(inputs, training=True), strict=True):
        yield layer.name, tf.nest.flatten(output)


def _is_finite(values: typing.Any) -> bool:
    values = tf.convert_to_tensor(values)
    return not values.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(values)))
