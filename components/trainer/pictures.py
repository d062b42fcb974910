"""What the model card shows of a training."""

import typing

import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Examples, Model, TransformGraph
from conveyor.components.datasets import batch_filled, read_learned
from conveyor.components.trainer.decoded import Decoded
from conveyor.components.trainer.explain import explain, most_examples
from conveyor.components.trainer.fit import Fitted
from conveyor.components.trainer.objects import training_objects
from conveyor.components.trainer.preview import preview
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.components.transform.fit import input_shape
from conveyor.components.transform.graph import load
from conveyor.models.augmentation.augmentation import Augmentation
from conveyor.models.describe.anchors import anchor_plot, anchor_report
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
    """Draws what the card shows: anchors, augmentation, and what the model sees in unseen examples.

    Args:
        fitted: The trained model.
        examples: The data.
        transform_graph: The preprocessing.
        settings: Of training.
        model: The artifact, for the pictures.

    Returns:
        Plots for `conveyor.components.trainer.plots`.
    """
    task, plots = fitted.task, _anchors(fitted, examples, transform_graph)
    if settings.augment:
        decoded = Decoded(examples, transform_graph, task, "train", "off", settings.fit.foreground)
        batch = _arrays(next(iter(decoded.as_trained(_MIXED))))
        plots.append(preview(batch, Augmentation(settings.augment, settings.seed), model.path, task.classes))
    split = "validation" if examples.properties["splits"].get("validation") else "train"
    return plots + _explained(fitted.model, task, examples, transform_graph, split, model)


def _anchors(
    fitted: Fitted, examples: Examples, transform_graph: TransformGraph
) -> list[dict[str, typing.Any]]:
    objects = training_objects(examples, transform_graph.read())
    network = fitted.model
    report = anchor_report(network.anchor_levels, objects, fitted.task.classes, network.positive_iou)
    return [anchor_plot(report)] if report else []


def _explained(
    network: typing.Any,
    task: Task,
    examples: Examples,
    transform_graph: TransformGraph,
    split: str,
    model: Model,
) -> list[dict[str, typing.Any]]:
    records, preprocessing = read_learned(examples, split, task), load(transform_graph.saved_model)
    frames = records.take(_EXAMPLES).map(lambda example: preprocessing.frame(example["image"]))
    frame = _arrays(next(iter(frames.batch(_EXAMPLES))))
    count = min(len(frame["sizes"]), most_examples(*_largest(transform_graph, frame)))
    decoded = Decoded(examples, transform_graph, task, split, "off")
    batch = next(iter(decoded.in_order(count)))
    inputs, _ = task.inputs_and_targets(decoded.normalize(batch), tf.zeros([2], tf.int32))
    truth = _arrays(next(iter(batch_filled(records.map(task.truth), count))))
    return explain(network, task, batch["images"].numpy(), inputs.numpy(), frame, truth, model.path)


def _largest(transform_graph: TransformGraph, frame: dict[str, np.ndarray]) -> tuple[int, int]:
    """Returns height and width of the largest decoded image."""
    height, width, _ = input_shape(transform_graph.read())
    if height is None or width is None:
        height, width = frame["sizes"].max(axis=0).tolist()
    return height, width


def _arrays(tensors: typing.Any) -> typing.Any:
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), tensors)
