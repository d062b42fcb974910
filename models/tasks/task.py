"""What a task says about examples, targets, loss, outputs and evaluation; and how to get one."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.tasks.settings import TaskSettings

Outputs = dict[str, np.ndarray]
Metrics = dict[str, dict[str, float | None]]


class Task(typing.Protocol):
    """What a model is for. Stages know tasks only through this."""

    classes: list[str]

    def targets(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the training target of one example, in a graph."""
        ...

    def loss(self) -> keras.losses.Loss:
        """Returns the training loss on raw outputs."""
        ...

    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns metrics to watch in training."""
        ...

    def decode(self, raw: typing.Any) -> dict[str, tf.Tensor]:
        """Returns the served outputs of a batch of raw outputs, in a graph."""
        ...

    def truth(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns what an example's outputs are judged against, in a graph."""
        ...

    def check(self, outputs: Outputs) -> str:
        """Returns why outputs cannot be judged for these classes; "" for no reason."""
        ...

    def measure(self, truth: np.ndarray, outputs: Outputs) -> dict[str, float | None]:
        """Returns metric name -> value over all examples; None where undefined."""
        ...

    def evaluate(self, truth: np.ndarray, outputs: Outputs, bootstrap: int, seed: int) -> Metrics:
        """Returns metric name -> `value`, and `low` and `high` of its 95% interval."""
        ...

    def badness(self, truth: np.ndarray, outputs: Outputs) -> np.ndarray:
        """Returns how wrong the outputs of each example are; 0 for right ones."""
        ...

    def caption(self, truth: typing.Any, output: dict[str, typing.Any]) -> str:
        """Returns a line on one example, for a gallery."""
        ...

    def plots(self, truth: np.ndarray, outputs: Outputs) -> list[dict[str, typing.Any]]:
        """Returns charts as data; their kinds are those that the model card draws."""
        ...


def make_task(settings: TaskSettings, classes: list[str]) -> Task:
    """Returns the task that settings describe.

    Args:
        settings: Its settings.
        classes: Names of the classes, in label order.
    """
    from conveyor.models.tasks.classification import Classification

    return Classification(settings, classes)
