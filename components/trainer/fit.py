"""Builds and fits the model."""

import dataclasses
import math
import re
import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Examples, TransformGraph
from conveyor.components.trainer.inputs import evaluation_input, training_input
from conveyor.components.trainer.settings import FitSettings, OptimizerSettings, TrainerSettings
from conveyor.models.build import build_model
from conveyor.models.model import Model
from conveyor.models.tasks.task import Task, make_task
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context

_STEPS_PER_CALL = 20  # steps in one graph call: the Python loop costs more than a small step


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained model and how it got there.

    Args:
        model: With the selected weights.
        task: What it is for.
        history: Metric name -> value per epoch.
        best_epoch: Number of the epoch whose weights were kept, from 1.
        family: Name of the family.
    """

    model: keras.Model
    task: Task
    history: dict[str, list[float]]
    best_epoch: int
    family: str


def build(document: dict[str, typing.Any], settings: TrainerSettings, task: Task) -> Model:
    """Builds the untrained model for a TransformGraph's document.

    Raises:
        UserError: The layers do not fit the image.
    """
    shape = (document["height"], document["width"], document["channels"])
    try:
        return build_model(settings.model, shape, task.model_arguments())
    except ValueError as error:
        raise UserError(
            f"the model {settings.model.family!r} cannot be built for images of {shape[0]}x{shape[1]}",
            received=_reason(error),
            where="section `model` of the config",
            fix="use fewer blocks or less pooling, or a larger transform.size",
        ) from None


def _reason(error: ValueError) -> str:
    """Returns the line of Keras's message that says why, without its colours."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception encountered")]
    return telling[0] if telling else str(error)


def fit(
    examples: Examples, transform_graph: TransformGraph, settings: TrainerSettings, context: Context
) -> Fitted:
    """Trains on `train`, selects on `validation` where there is one."""
    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    classes = examples.properties["classes"]
    task = make_task(settings.task, classes)
    how = settings.fit
    model = build(transform_graph.read(), settings, task)
    steps = math.ceil(examples.properties["splits"]["train"] / how.batch_size)
    model.compile(
        optimizer=make_optimizer(how, steps * how.epochs),
        loss=task.loss(),
        metrics=task.metrics(),
        steps_per_execution=min(_STEPS_PER_CALL, steps),
    )
    validation, callbacks = None, [_StopAtDivergence()]
    selects = how.select == "best" and "validation" in examples.properties["splits"]
    if "validation" in examples.properties["splits"]:
        validation = evaluation_input(examples, transform_graph, task, "validation", how.batch_size)
    if selects:
        callbacks.append(_best_weights(how.epochs))
        context.look("validation", "choose")
    history = model.fit(
        training_input(examples, transform_graph, task, settings),
        validation_data=validation,
        epochs=how.epochs,
        callbacks=callbacks,
        shuffle=False,  # the input shuffles
        verbose=0,
    ).history
    values = {name: [float(value) for value in series] for name, series in history.items()}
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise _diverged("the weights are no numbers", how.epochs)  # after the last step's update
    best = values["val_loss"].index(min(values["val_loss"])) + 1 if selects else how.epochs
    return Fitted(model, task, values, best, settings.model.family)


def _best_weights(epochs: int) -> keras.callbacks.Callback:
    """Keeps the weights of the epoch with the lowest validation loss; never stops early."""
    return keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)


class _StopAtDivergence(keras.callbacks.Callback):
    """Ends training at the first epoch with a loss that is no number."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        for name in ("loss", "val_loss"):
            value = (logs or {}).get(name, 0.0)
            if not math.isfinite(value):
                raise _diverged(f"{name} became {value}", epoch + 1)


def _diverged(what: str, epoch: int) -> UserError:
    return UserError(
        f"training diverged: {what} in epoch {epoch}",
        where="section `trainer` of the config",
        fix="lower trainer.optimizer.learning_rate",
    )


def make_optimizer(how: FitSettings, steps: int) -> keras.optimizers.Optimizer:
    """Returns the optimiser with its schedule over all steps; weights alone decay."""
    chosen: OptimizerSettings = how.optimizer
    rate: typing.Any = chosen.learning_rate
    if how.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    decay = chosen.weight_decay or None
    if chosen.name == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=chosen.momentum, weight_decay=decay)
    else:  # decay is decoupled in both, so they are one where it is the same
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
