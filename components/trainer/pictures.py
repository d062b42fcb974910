"""What the model card shows of a training."""

import typing

import tensorflow as tf

from conveyor.components.artifacts import Examples, Model, TransformGraph
from conveyor.components.datasets import read_split
from conveyor.components.trainer.decoded import Decoded
from conveyor.components.trainer.explain import explain
from conveyor.components.trainer.fit import Fitted
from conveyor.components.trainer.preview import preview
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.models.augmentation.augmentation import Augmentation
from conveyor.models.tasks.task import Task

_EXAMPLES = 128  # among which those to show are chosen
_MIXED = 32  # that are augmented together


def draw(
    fitted: Fitted,
    examples: Examples,
    transform_graph: TransformGraph,
    settings: TrainerSettings,
    model: Model,
) -> list[dict[str, typing.Any]]:
    """Draws augmented training examples, and what the model sees in examples that it was not trained on.

    Args:
        fitted: The trained model.
        examples: The data.
        transform_graph: The preprocessing.
        settings: Of training.
        model: The artifact, for the pictures.

    Returns:
        Plots for `conveyor.components.trainer.plots`.
    """
    task, plots = fitted.task, []
    if settings.augment:
        decoded = Decoded(examples, transform_graph, task, "train", "off")
        batch = tf.nest.map_structure(lambda values: values.numpy(), next(iter(decoded.in_order(_MIXED))))
        plots.append(preview(batch, Augmentation(settings.augment, settings.seed), model.path, task.classes))
    split = "validation" if examples.properties["splits"].get("validation") else "train"
    return plots + _explained(fitted.model, task, examples, transform_graph, split, model)


def _explained(
    network: typing.Any,
    task: Task,
    examples: Examples,
    transform_graph: TransformGraph,
    split: str,
    model: Model,
) -> list[dict[str, typing.Any]]:
    decoded = Decoded(examples, transform_graph, task, split, "off")
    batch = next(iter(decoded.in_order(_EXAMPLES)))
    inputs, _ = task.inputs_and_targets(decoded.normalize(batch), tf.zeros([2], tf.int32))
    truth = next(iter(read_split(examples, split).map(task.truth).batch(_EXAMPLES)))
    return explain(network, task, batch["images"].numpy(), inputs.numpy(), truth.numpy(), model.path)
