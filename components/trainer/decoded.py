"""A split with its images decoded: kept in memory where they fit, else read whenever they are needed."""

import functools
import typing

import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Examples, TransformGraph
from conveyor.components.datasets import read_split
from conveyor.components.facts import read_facts
from conveyor.components.transform.graph import load
from conveyor.models.tasks.task import Batch, Task

_CACHE_BYTES = 1 << 30  # decoded splits up to this size are kept in memory
_SHUFFLE_BYTES = 256 << 20
_SHUFFLE_EXAMPLES = 20_000


class Decoded:
    """Examples as the task sees them: `images` uint8 [n, height, width, channels], and its annotations.

    Args:
        examples: The data.
        transform_graph: Decodes images.
        task: Says what else an example has.
        split: Which split.
        cache: "memory" keeps all in memory, "off" nothing, "auto" what fits.

    Raises:
        UserError: The split is empty.
    """

    def __init__(
        self, examples: Examples, transform_graph: TransformGraph, task: Task, split: str, cache: str = "auto"
    ):
        self.count = examples.properties["splits"][split]
        self._examples, self._split = examples, split
        preprocessing = load(transform_graph.saved_model)

        def decode(example: dict[str, tf.Tensor]) -> Batch:
            return {"images": preprocessing.decode(example["image"]), **task.annotations(example)}

        self._preprocessing, self._decode = preprocessing, decode
        self._records = read_split(examples, split)
        self._spec = self._records.map(decode).element_spec
        fits = self.count * _bytes_of(self._spec) <= _CACHE_BYTES
        is_kept = cache == "memory" or (cache == "auto" and fits)
        self._kept = self._read_all() if is_kept else None

    def _read_all(self) -> Batch:
        decoded = self._records.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)
        with tf.device("CPU:0"):
            return self._batched(decoded, self.count).get_single_element()

    def _batched(self, decoded: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Batches; where examples have different numbers of objects, fills up with -1."""
        if all(spec.shape.is_fully_defined() for spec in tf.nest.flatten(self._spec)):
            return decoded.batch(size, num_parallel_calls=tf.data.AUTOTUNE)
        fill = tf.nest.map_structure(lambda spec: tf.cast(-1, spec.dtype), self._spec)
        return decoded.padded_batch(size, padding_values=fill)

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """Returns batches of all examples, in stored order."""
        if self._kept is None:
            decoded = self._records.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)
            return self._batched(decoded, batch_size)
        return tf.data.Dataset.range(self.count).batch(batch_size).map(self._gather)

    def drawn(
        self, seed: tf.Tensor, batch_size: int, first: tf.Tensor, order: tf.Tensor | None
    ) -> tf.data.Dataset:
        """Returns batches of one epoch, each to be looked up; in a graph.

        Args:
            seed: int32 [2]: the order depends on it alone.
            batch_size: Examples a batch; the last may have fewer.
            first: int64 []: so many batches are left out at the beginning.
            order: int64 [count]: the examples of the epoch, in random order; None for each once.
        """
        if self._kept is None:
            records = self._records if order is None else self._repeated(order)
            tf.random.set_seed(1)  # of this graph: it is mixed in, and must be no 0 beside a tensor
            records = records.shuffle(
                self._buffer, tf.bitcast(seed, tf.int64), reshuffle_each_iteration=False
            )
            decoded = records.skip(first * batch_size).map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)
            return self._batched(decoded, batch_size)
        if order is None:
            order = tf.random.experimental.stateless_shuffle(tf.range(self.count, dtype=tf.int64), seed)
        return tf.data.Dataset.from_tensor_slices(order).skip(first * batch_size).batch(batch_size)

    def _repeated(self, order: tf.Tensor) -> tf.data.Dataset:
        """Returns encoded examples in stored order, each as often as it is in `order`."""
        counts = tf.math.bincount(tf.cast(order, tf.int32), minlength=self.count, dtype=tf.int64)
        pairs = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(counts), self._records)
        return pairs.flat_map(lambda count, example: tf.data.Dataset.from_tensors(example).repeat(count))

    def look_up(self, drawn: typing.Any) -> Batch:
        """Returns the batch that an element of `drawn` stands for, in a graph."""
        return drawn if self._kept is None else self._gather(drawn)

    def _gather(self, positions: tf.Tensor) -> Batch:
        return tf.nest.map_structure(lambda values: tf.gather(values, positions), self._kept)

    def normalize(self, batch: Batch) -> Batch:
        """Returns a batch with images as the model takes them."""
        return {**batch, "images": self._preprocessing.normalize(batch["images"])}

    def labels(self) -> np.ndarray:
        """Returns int64 [count]: the class of each example, in stored order."""
        found = self._records.map(lambda example: example["label"]).batch(1024)
        return np.concatenate([labels.numpy() for labels in found])

    @functools.cached_property
    def _buffer(self) -> int:
        """Encoded examples that are shuffled at a time."""
        sizes = read_facts(self._examples, ["bytes"], self._split)["bytes"].to_numpy()
        room = int(_SHUFFLE_BYTES // max(sizes.mean(), 1))
        return max(1, min(self.count, room, _SHUFFLE_EXAMPLES))


def fold(seed: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Returns another seed, int32 [2], for each number."""
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(number, tf.int32))


def _bytes_of(spec: typing.Any) -> int:
    """Returns the bytes of one example, as far as they are known before it is read."""
    parts = tf.nest.flatten(spec)
    return sum((part.shape.num_elements() or 0) * part.dtype.size for part in parts)
