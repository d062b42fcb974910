"""Training input: decoded once and kept where it fits, shuffled, batched, augmented, normalised."""

import typing

import tensorflow as tf

from conveyor.components.artifacts import Examples, TransformGraph
from conveyor.components.datasets import read_split
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.components.transform.graph import load
from conveyor.models.augmentation import Augmentation
from conveyor.models.tasks.task import Task
from conveyor.pipeline.errors import UserError

_CACHE_BYTES = 1 << 30  # decoded data sets up to this size are kept in memory
_SHUFFLE_BYTES = 256 << 20
_SHUFFLE_EXAMPLES = 20_000


def training_input(
    examples: Examples, transform_graph: TransformGraph, task: Task, settings: TrainerSettings
) -> tf.data.Dataset:
    """Returns shuffled and augmented batches (inputs, targets) of the training split, new each epoch.

    Raises:
        UserError: The augmentation names a layer or an argument that is not there.
    """
    how = settings.fit
    dataset, bytes_each = _decoded(examples, transform_graph, task, "train")
    room = max(_SHUFFLE_BYTES // bytes_each, 1)
    buffer = min(examples.properties["splits"]["train"], room, _SHUFFLE_EXAMPLES)
    dataset = dataset.shuffle(buffer, seed=settings.seed, reshuffle_each_iteration=True)
    batches = dataset.batch(how.batch_size, num_parallel_calls=tf.data.AUTOTUNE)
    if settings.augment:
        augment = _augmentation(settings)
        numbers = tf.data.Dataset.random(seed=settings.seed, rerandomize_each_iteration=True)
        batches = tf.data.Dataset.zip(numbers, batches).map(
            lambda number, batch: (augment(number, batch[0]), batch[1]), num_parallel_calls=tf.data.AUTOTUNE
        )
    return _normalized(batches, transform_graph)


def _augmentation(settings: TrainerSettings) -> Augmentation:
    try:
        return Augmentation(settings.augment, settings.seed)
    except ValueError as error:
        raise UserError(f"wrong augmentation: {error}", where="section `augment` of the config") from None


def evaluation_input(
    examples: Examples, transform_graph: TransformGraph, task: Task, split: str, batch_size: int
) -> tf.data.Dataset:
    """Returns batches (inputs, targets) of a split, in order."""
    dataset, _ = _decoded(examples, transform_graph, task, split)
    batches = dataset.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
    return _normalized(batches, transform_graph)


def _decoded(
    examples: Examples, transform_graph: TransformGraph, task: Task, split: str
) -> tuple[tf.data.Dataset, int]:
    """Returns (uint8 pixels, target) of each example, and the bytes of one."""
    shape = transform_graph.read()
    preprocessing = load(transform_graph.saved_model)

    def decode(example: dict[str, tf.Tensor]) -> tuple[typing.Any, typing.Any]:
        return preprocessing.decode(example["image"]), task.annotations(example)["labels"]

    dataset = read_split(examples, split).map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    bytes_each = shape["height"] * shape["width"] * shape["channels"]
    if bytes_each * examples.properties["splits"][split] <= _CACHE_BYTES:
        dataset = dataset.cache()
    return dataset, bytes_each


def _normalized(batches: tf.data.Dataset, transform_graph: TransformGraph) -> tf.data.Dataset:
    preprocessing = load(transform_graph.saved_model)
    return batches.map(
        lambda pixels, target: (preprocessing.normalize(pixels), target),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).prefetch(tf.data.AUTOTUNE)
