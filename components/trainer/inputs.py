"""What a model is trained and judged on: batches that are functions of the seed and their number."""

import math

import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Examples, TransformGraph
from conveyor.components.datasets import untuned
from conveyor.components.trainer.balance import balanced_order, class_weights
from conveyor.components.trainer.decoded import Decoded, fold
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.models.augmentation.augmentation import Augmentation
from conveyor.models.tasks.task import Batch, Task
from conveyor.pipeline.errors import UserError

_EVALUATION = 2**31 - 1  # a seed for what is random in evaluation, whatever the seed of training


class TrainingInput:
    """Shuffled, augmented and normalised batches of the training split, over all epochs.

    Args:
        examples: The data.
        transform_graph: The preprocessing.
        task: What the model is for.
        settings: Of training.

    Raises:
        UserError: The split is empty, the augmentation names a layer or an argument that is not there, or
            the data has no labels to balance by, or no windows to be around something.
    """

    def __init__(
        self, examples: Examples, transform_graph: TransformGraph, task: Task, settings: TrainerSettings
    ):
        how = settings.fit
        self._augment = _augmentation(settings) if settings.augment else None
        self._decoded = Decoded(examples, transform_graph, task, "train", how.cache, how.foreground)
        self._task = task
        self._batch_size, self._epochs = how.batch_size, how.epochs
        self._number, self._seed = settings.seed, _seed(settings.seed)
        self.examples = self._decoded.count
        self.steps = math.ceil(self.examples / how.batch_size)
        self._balance = how.sampling == "balanced"
        is_any = "balanced" in (how.sampling, how.class_weights)
        if is_any and not self._decoded.has_labels:
            raise UserError(
                "balanced sampling and class weights need a task on one class for each image",
                where="trainer.sampling and trainer.class_weights in the config",
                fix="leave them out",
            )
        self._labels = self._decoded.labels() if is_any else np.array([], np.int64)
        self._weights: np.ndarray | None = None
        if how.class_weights == "balanced":
            self._weights = class_weights(np.bincount(self._labels, minlength=len(task.classes)))

    def dataset(self, first: int = 0) -> tf.data.Dataset:
        """Returns (inputs, targets) of each step from `first` to the last of the last epoch.

        One data set for all epochs, so that the next one is got ready while the last is judged.
        """

        @tf.autograph.experimental.do_not_convert
        def draw(epoch: tf.Tensor) -> tf.data.Dataset:
            skipped = tf.maximum(first - epoch * self.steps, 0)
            order = self._balanced_order(epoch) if self._balance else None
            return self._decoded.drawn(fold(self._seed, epoch), self._batch_size, skipped, order)

        drawn = tf.data.Dataset.range(first // self.steps, self._epochs).flat_map(draw)
        numbers = tf.data.Dataset.range(first, self._epochs * self.steps)
        batches = tf.data.Dataset.zip(numbers, drawn)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        made = batches.map(self._make, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
        return untuned(made.with_options(options))

    def _balanced_order(self, epoch: tf.Tensor) -> tf.Tensor:
        order = tf.numpy_function(
            lambda epoch: balanced_order(self._labels, self._number, int(epoch)), [epoch], tf.int64
        )
        return tf.ensure_shape(order, [self.examples])

    @tf.autograph.experimental.do_not_convert  # so that an error stays what it is
    def _make(self, number: tf.Tensor, drawn: tf.Tensor | Batch) -> tuple:
        batch = self._decoded.look_up(drawn, fold(self._seed + 2, number))
        if self._augment:
            try:
                batch = self._augment(batch, number)
            except ValueError as error:
                raise _wrong(error) from None
        batch = self._decoded.normalize(batch)
        pair = self._task.inputs_and_targets(batch, fold(self._seed + 1, number))
        if self._weights is None:
            return pair
        return *pair, tf.linalg.matvec(batch["labels"], tf.constant(self._weights))


def evaluation_input(
    examples: Examples,
    transform_graph: TransformGraph,
    task: Task,
    split: str,
    batch_size: int,
    cache: str = "auto",
) -> tf.data.Dataset:
    """Returns (inputs, targets) of a split in stored order, the same at each pass."""
    decoded = Decoded(examples, transform_graph, task, split, cache)
    seed = _seed(_EVALUATION)

    @tf.autograph.experimental.do_not_convert
    def make(number: tf.Tensor, batch: Batch) -> tuple:
        return task.inputs_and_targets(decoded.normalize(batch), fold(seed, number))

    batches = decoded.in_order(batch_size).enumerate()
    return untuned(batches.map(make, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))


def _augmentation(settings: TrainerSettings) -> Augmentation:
    try:
        return Augmentation(settings.augment, settings.seed)
    except ValueError as error:
        raise _wrong(error) from None


def _wrong(error: ValueError) -> UserError:
    return UserError(f"wrong augmentation: {error}", where="section `augment` of the config")


def _seed(number: int) -> tf.Tensor:
    """Returns int32 [2] of a seed of up to 62 bits."""
    return tf.constant(np.array([number >> 31, number & 0x7FFFFFFF]), tf.int32)
