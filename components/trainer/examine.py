"""Looks for what would make training fail or mean nothing, before it starts."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Examples
from conveyor.components.facts import read_facts
from conveyor.models.model import Model
from conveyor.models.ops.frames import whole_frame
from conveyor.models.tasks.task import Task
from conveyor.pipeline.errors import UserError


def examine_labels(examples: Examples, needs: tuple[str, ...], classes: list[str]) -> None:
    """Checks the labels of the data.

    Args:
        examples: The data.
        needs: What the task needs of every example.
        classes: Names of the classes.

    Raises:
        UserError: There are no training examples, a label is out of range, or all are of one class.
    """
    if not examples.properties["splits"].get("train"):
        raise UserError("there is nothing to train on: the split 'train' is empty")
    if "label" not in needs:
        return
    if "in_place" in examples.properties:  # TFDS has checked the labels, and the facts have none
        present = len(classes)
    else:
        table = read_facts(examples, ["key", "label"])
        labels = table["label"].to_numpy()
        wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if wrong.size:
            raise UserError(
                f"the label of {table['key'][int(wrong[0])].as_py()!r} is out of range",
                expected=f"0 to {len(classes) - 1}, for {len(classes)} classes",
                received=str(labels[wrong[0]]),
            )
        present = len(set(labels[np.array(table["split"]) == "train"].tolist()))
    if min(present, len(classes)) < 2:
        raise UserError(
            "all training examples are of one class, so there is nothing to learn",
            expected="two classes or more in the split 'train'",
            received=", ".join(classes[:1]) if present else "none",
        )


def dry_step(model: Model, batches: tf.data.Dataset, task: Task, family: str) -> None:
    """Does a step on two examples, undoes what it has changed, and so builds metrics and optimiser too.

    Call it in the scope of the strategy.

    Raises:
        UserError: The model's inputs or outputs do not fit the data or the task.
    """
    batch = tf.nest.map_structure(lambda values: values[:2], next(iter(batches)))
    inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(batch)
    state = [(variable, variable.numpy()) for variable in model.non_trainable_variables]

    def step() -> None:
        with tf.GradientTape() as tape:
            raw = model(inputs, training=True)
            loss = model.compute_loss(inputs, targets, raw, weights, training=True)
        tape.gradient(loss, model.trainable_variables)
        task.decode(inputs, model.serve(inputs), whole_frame(inputs))

    try:
        model._symbolic_build(data_batch=(inputs, targets, weights))
        model.distribute_strategy.run(step)
    except (ValueError, tf.errors.InvalidArgumentError, KeyError) as error:
        raise UserError(
            f"the model {family!r} cannot be trained on this data: {_told(error)}",
            expected=f"inputs of {_shapes(inputs)} and targets of {_shapes(targets)}, as the first step has",
            received=f"a model from {_shapes(model.inputs)} to {_shapes(model.outputs)}",
            where="section `model` of the config",
        ) from error
    finally:
        for variable, value in state:
            variable.assign(value)


def _told(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _shapes(tensors: typing.Any) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tf.nest.flatten(tensors))
