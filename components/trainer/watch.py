"""What is done in training besides its steps: judging, choosing weights, stopping, saving."""
# ruff: noqa: ARG002  (callbacks take what Keras gives)

import math
import pathlib
import time
import typing

import keras

from conveyor.components.trainer import checkpoint
from conveyor.components.trainer.checkpoint import Progress
from conveyor.components.trainer.execution import Execution
from conveyor.components.trainer.settings import FitSettings

Logs = dict[str, typing.Any] | None


class Averages(keras.callbacks.Callback):
    """Judges the moving averages of the weights, where the optimiser has them, in place of the weights."""

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._own: list[typing.Any] = []

    def on_test_begin(self, logs: Logs = None) -> None:
        if self.model.optimizer.use_ema:
            self._own = [variable.numpy() for variable in self.model.trainable_variables]
            self.model.optimizer.finalize_variable_values(self.model.trainable_variables)

    def on_test_end(self, logs: Logs = None) -> None:
        if self.model.optimizer.use_ema:
            for variable, value in zip(self.model.trainable_variables, self._own, strict=True):
                variable.assign(value)


class Selection(keras.callbacks.Callback):
    """Notes the history, keeps the best weights, and stops when they do not get better.

    Goes before `Averages`, so that it sees the weights that were judged.

    Args:
        progress: Where to note it.
        is_best: Whether the weights of the best epoch are to be the model's in the end.
        patience: Epochs without a better one after which to stop; None for never.
    """

    def __init__(self, progress: Progress, is_best: bool, patience: int | None):
        super().__init__()
        self.progress, self._is_best, self._patience = progress, is_best, patience

    def on_test_end(self, logs: Logs = None) -> None:
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise FloatingPointError(f"val_loss became {loss}")
        if loss < self.progress.best_value:
            self.progress.best_value = loss
            self.progress.best_epoch = self.progress.epochs + 1
            if self._is_best:
                self.progress.best_weights = self.model.get_weights()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        found, before = dict(logs or {}), self.progress.epochs
        for name in [*{**self.progress.history, **found}]:
            values = self.progress.history.setdefault(name, [None] * before)
            values.append(float(found[name]) if name in found else None)
        without = self.progress.epochs - self.progress.best_epoch
        if self._patience is None or "val_loss" not in found:
            return
        if self.progress.best_epoch and without >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        if self.progress.best_weights:
            self.model.set_weights(self.progress.best_weights)


class Checkpoints(keras.callbacks.Callback):
    """Restores the state that training had come to, and saves it every so often. Goes last.

    Args:
        folder: Where to.
        key: Says which training it is.
        progress: What was loaded, and what is noted meanwhile.
        how: When to save.
        execution: Knows how many steps are done.
    """

    def __init__(
        self, folder: pathlib.Path, key: str, progress: Progress, how: FitSettings, execution: Execution
    ):
        super().__init__()
        self._folder, self._key, self._progress = folder, key, progress
        self._how, self._execution, self._steps = how.checkpoint, execution, execution.steps
        self._saved = (progress.done, time.monotonic())

    def on_train_begin(self, logs: Logs = None) -> None:
        self._restore()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self._progress.done % self._steps:
            self._restore()  # once more, as Keras has reset the metrics
        self._progress.variables = []

    def _restore(self) -> None:
        if self._progress.variables:
            checkpoint.restore(self._progress, self.model)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        (step, moment), done = self._saved, self._execution.done
        every = self._how.every_steps
        is_due = every is not None and done // every > step // every
        if (
            done % self._steps
            and done > step
            and (is_due or time.monotonic() - moment >= 60 * self._how.every_minutes)
        ):
            self._save()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if epoch + 1 < self.params["epochs"] and not self.model.stop_training:
            self._save()

    def _save(self) -> None:
        self._progress.done = self._execution.done
        checkpoint.save(self._folder, self._key, self._progress, self.model)
        self._saved = (self._progress.done, time.monotonic())
