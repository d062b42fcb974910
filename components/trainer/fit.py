"""Builds and fits the model."""

import contextlib
import dataclasses
import importlib.util
import re
import time
import typing

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from conveyor.components.artifacts import Examples, TransformGraph
from conveyor.components.datasets import tell_left_out
from conveyor.components.facts import read_facts
from conveyor.components.tasks import task_for
from conveyor.components.trainer import checkpoint, guard
from conveyor.components.trainer.examine import dry_step, examine_labels
from conveyor.components.trainer.execution import Execution
from conveyor.components.trainer.inputs import TrainingInput, evaluation_input
from conveyor.components.trainer.objects import object_sizes, training_objects
from conveyor.components.trainer.optimizers import make_optimizer
from conveyor.components.trainer.precision import policy
from conveyor.components.trainer.progress import Told
from conveyor.components.trainer.settings import FitSettings, TrainerSettings
from conveyor.components.trainer.strategy import open_strategy
from conveyor.components.trainer.watch import Averages, Checkpoints, Selection
from conveyor.components.transform.fit import input_shape
from conveyor.models.build import build_model
from conveyor.models.describe.anchors import anchor_report, anchor_warnings
from conveyor.models.metrics.detection.objects import Truth
from conveyor.models.model import NOT_FINITE, Model
from conveyor.models.tasks.task import Task
from conveyor.pipeline.digest import digest_of
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
        input_bound: Share of the training time in which a step waited for its batch, in [0, 1].
    """

    model: Model
    task: Task
    history: dict[str, list[float | None]]
    best_epoch: int
    family: str
    input_bound: float = 0.0


def build(
    document: dict[str, typing.Any], settings: TrainerSettings, task: Task, objects: Truth | None = None
) -> Model:
    """Builds the untrained model for a TransformGraph's document.

    Args:
        document: It.
        settings: Of training.
        task: What the model is for.
        objects: Those of the training split, see `training_objects`; None for none that are known.

    Raises:
        UserError: The layers do not fit the image.
    """
    shape = input_shape(document)
    try:
        sizes = None if objects is None else object_sizes(objects)
        return build_model(settings.model, shape, task.model_arguments(), sizes)
    except ValueError as error:
        raise UserError(
            f"the model {settings.model.family!r} cannot be built for images of {_by(shape)}"
            f" with {shape[2]} channel{'s' if shape[2] > 1 else ''}",
            received=_reason(error),
            where="section `model` of the config",
            fix="use fewer blocks or less pooling, or a larger transform.size",
        ) from None


def _by(shape: tuple[int | None, ...]) -> str:
    return "any size" if shape[0] is None else f"{shape[0]}x{shape[1]}"


def _reason(error: ValueError) -> str:
    """Returns the line of Keras's message that says why, without its colours."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception encountered")]
    return telling[0] if telling else str(error)


def fit(
    examples: Examples, transform_graph: TransformGraph, settings: TrainerSettings, context: Context
) -> Fitted:
    """Trains on `train`, selects on `validation` where there is one; goes on where a killed try stopped.

    Args:
        examples: The data.
        transform_graph: The preprocessing.
        settings: Of training.
        context: Its `scratch` is where checkpoints are kept.

    Raises:
        UserError: Data, model and settings do not go together, or training diverged.
    """
    task, how = task_for(settings.task, examples), settings.fit
    examine_labels(examples, settings.task.needs, task.classes)
    for told in _prepare(task, examples):
        context.note(told)
    strategy = open_strategy(how.strategy)  # before anything else of TensorFlow
    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    training = TrainingInput(examples, transform_graph, task, settings)
    with _precision(policy(how.precision, strategy)), strategy.scope():
        objects = training_objects(examples, transform_graph.read())
        model = build(transform_graph.read(), settings, task, objects)
        for told in anchor_warnings(anchor_report(model.anchor_levels, objects, task.classes)):
            context.note(told)
        _compile(model, how, task, training.steps)
        dry_step(model, training.dataset(), task, settings.model.family)
    judged, validation = "train", None
    if examples.properties["splits"].get("validation"):
        judged = "validation"
        validation = evaluation_input(examples, transform_graph, task, judged, how.batch_size, how.cache)
        if how.select == "best" or how.early_stopping:
            context.look(judged, "choose")
    for split in dict.fromkeys(("train", judged)):
        if told := tell_left_out(examples, split, task):
            context.note(told)
    key = digest_of([settings.model_dump(mode="json"), examples.digest, transform_graph.digest])
    loop = _Loop(model, training, validation, how, key, context)
    loop.run()
    context.note(f"{loop.input_bound:.1%} of the training waited for input")
    answers = validation or evaluation_input(
        examples, transform_graph, task, judged, how.batch_size, how.cache
    )
    task.calibrate((batch[0].numpy(), model.predict_on_batch(batch[0])) for batch in answers)
    best = loop.progress.best_epoch if loop.selects else loop.progress.epochs
    return Fitted(model, task, loop.progress.history, best, settings.model.family, loop.input_bound)


def _prepare(task: Task, examples: Examples) -> typing.Iterable[str]:
    try:
        return task.prepare(lambda name: read_facts(examples, [name], "train")[name].to_pylist())
    except ValueError as error:
        raise UserError(
            f"the task does not fit the data: {error}", where="section `task` of the config"
        ) from None


@contextlib.contextmanager
def _precision(name: str) -> typing.Iterator[None]:
    """Makes a dtype policy that of the layers that are built meanwhile."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _compile(model: Model, how: FitSettings, task: Task, steps: int) -> None:
    model.compile(
        optimizer=make_optimizer(how, steps, model),
        loss=task.loss(),
        metrics=task.metrics(),
        steps_per_execution=min(_STEPS_PER_CALL, steps, how.checkpoint.every_steps or steps),
    )


def _tensorboard(context: Context) -> keras.callbacks.Callback:
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "trainer.tensorboard is on, but TensorBoard is not installed",
            where="trainer.tensorboard in the config",
            fix="pip install 'conveyor[tensorboard]'",
        )
    folder = context.workspace / "runs" / context.run / "tensorboard"
    return keras.callbacks.TensorBoard(str(folder), write_graph=False)


class _Loop:
    """One training, from its beginning or from its checkpoint to its end."""

    def __init__(
        self,
        model: Model,
        training: TrainingInput,
        validation: tf.data.Dataset | None,
        how: FitSettings,
        key: str,
        context: Context,
    ):
        self.model, self.training, self.validation, self.how = model, training, validation, how
        self.scratch = context.scratch
        self.selects = how.select == "best" and validation is not None
        self.progress = checkpoint.load(self.scratch, key)
        if self.progress.done:
            logging.info("training goes on after step %d", self.progress.done)
        self.execution = Execution(training.steps, self.progress.done)
        self.callbacks = [
            Selection(self.progress, self.selects, how.early_stopping),
            Averages(),
            Checkpoints(self.scratch, key, self.progress, how, self.execution),
            self.execution,
        ]
        if how.tensorboard:
            self.callbacks.append(_tensorboard(context))
        self.input_bound = 0.0

    def run(self) -> None:
        """Trains.

        Raises:
            UserError: It diverged.
        """
        steps, epochs, every = self.training.steps, self.how.epochs, self.how.validate_every
        told = Told(self.training.examples, epochs, steps, self.progress.done)
        began = time.monotonic()
        try:
            self.model.fit(
                self.training.dataset(self.progress.done),
                validation_data=self.validation,
                validation_freq=[*range(every, epochs, every), epochs],
                epochs=epochs,
                initial_epoch=self.progress.epochs,
                steps_per_epoch=steps,
                callbacks=[*self.callbacks, told],
                shuffle=False,  # the input shuffles
                verbose=0,
            )
        except (tf.errors.InvalidArgumentError, FloatingPointError) as error:
            if isinstance(error, tf.errors.InvalidArgumentError) and NOT_FINITE not in str(error):
                raise
            raise self._diverged(str(error)) from None
        finally:
            told.close()
        if not all(np.isfinite(weights).all() for weights in self.model.get_weights()):
            raise self._diverged("")  # after the last step's update
        self.input_bound = self.execution.waited / max(time.monotonic() - began, 1e-9)

    def _diverged(self, told: str) -> UserError:
        execution, last = self.execution, self.training.steps * self.how.epochs - 1
        step = min(execution.done, last)
        if told.startswith("val_"):
            what, step = told, execution.done - 1
        else:
            what = guard.first_bad(self.model, next(iter(self.training.dataset(step))))
        kept = guard.keep_good(self.model, execution.done, execution.good, self.scratch)
        return guard.diverged(what, step, self.training.steps, kept)
