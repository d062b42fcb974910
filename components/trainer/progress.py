"""Tells how training goes: a line that is updated on a terminal, or one a while in the log."""
# ruff: noqa: ARG002  (callbacks take what Keras gives)

import contextlib
import functools
import os
import pathlib
import sys
import time
import typing

import keras
from absl import logging

PROGRESS_FILE = "CONVEYOR_PROGRESS"
"""Environment variable: a file whose one line the command line shows beside the name of the stage."""

_EVERY = 0.2  # seconds between two updates of a line
_LOG_EVERY = 60.0


class Told(keras.callbacks.Callback):
    """Shows epoch, images a second, loss and time left while `keras.Model.fit` runs.

    Args:
        examples: Examples an epoch.
        epochs: Epochs in all.
        steps: Steps an epoch.
        done: Steps that were done before.
    """

    def __init__(self, examples: int, epochs: int, steps: int, done: int):
        super().__init__()
        self._examples, self._epochs, self._steps = examples, epochs, steps
        self._first = self._done = done
        self._epoch = 0
        self._stack = contextlib.ExitStack()
        self._show: typing.Callable[[str], object] = lambda line: logging.info("%s", line)
        self._every = _LOG_EVERY

    def on_train_begin(self, logs: dict[str, typing.Any] | None = None) -> None:
        self._began = self._shown = time.monotonic()
        file = os.environ.get(PROGRESS_FILE)
        if file:
            self._show, self._every = (
                functools.partial(pathlib.Path(file).write_text, encoding="utf-8"),
                _EVERY,
            )
        elif _owns_terminal():
            from rich.console import Console

            self._show = self._stack.enter_context(Console(stderr=True).status("")).update
            self._every = _EVERY

    def on_epoch_begin(self, epoch: int, logs: dict[str, typing.Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, typing.Any] | None = None) -> None:
        self._done = max(self._done, self._epoch * self._steps + min(batch + 1, self._steps))
        now = time.monotonic()
        if now - self._shown >= self._every:
            self._shown = now
            self._show(self._line(logs or {}, now - self._began))

    def on_epoch_end(self, epoch: int, logs: dict[str, typing.Any] | None = None) -> None:
        values = ", ".join(f"{name} {float(value):.4f}" for name, value in (logs or {}).items())
        logging.info("epoch %d/%d: %s", epoch + 1, self._epochs, values)

    def on_train_end(self, logs: dict[str, typing.Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Takes the line away."""
        self._stack.close()

    def _line(self, logs: dict[str, typing.Any], seconds: float) -> str:
        fresh = max(self._done - self._first, 1)
        left = (self._epochs * self._steps - self._done) * seconds / fresh
        rate = fresh * self._examples / self._steps / max(seconds, 1e-9)
        loss = f" · loss {float(logs['loss']):.4f}" if "loss" in logs else ""
        place = f"epoch {self._epoch + 1}/{self._epochs} · step {self._done % self._steps}/{self._steps}"
        return f"{place} · {rate:,.0f} images/s{loss} · {_clock(left)} left"


def _owns_terminal() -> bool:
    """Whether stderr is a terminal that nobody else draws on, as the command line does beside a stage."""
    try:
        return sys.stderr.isatty() and os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except OSError:
        return False


def _clock(seconds: float) -> str:
    """Returns 75 seconds as 1:15, 3675 as 1:01:15."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
