"""A split with its images decoded: kept in memory where they fit, else read whenever they are needed."""

import functools
import typing

import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Examples, TransformGraph
from conveyor.components.datasets import batch_filled, read_learned
from conveyor.components.facts import read_facts
from conveyor.components.trainer.flat import Flat
from conveyor.components.trainer.windows import Windows
from conveyor.components.transform.graph import load
from conveyor.models.tasks.task import Batch, Task
from conveyor.pipeline.errors import UserError

_CACHE_BYTES = 1 << 30  # decoded splits up to this size are kept in memory
_SHUFFLE_BYTES = 256 << 20
_SHUFFLE_EXAMPLES = 20_000
_PLACES = {"segmentation_masks", "bounding_boxes"}  # annotations that tell where something is


class Decoded:
    """Examples as the task sees them: `images` uint8 [n, height, width, channels], and its annotations.

    Where images keep their sizes, training gets windows of them, and evaluation whole images, padded. A
    window is decided by the seed of the batch, of images in memory; else by that of the epoch and its place.

    Args:
        examples: The data.
        transform_graph: Decodes images.
        task: Says what else an example has.
        split: Which split.
        cache: "memory" keeps all in memory, "off" nothing, "auto" what fits.
        foreground: Share of windows around something, see `Windows`.

    Raises:
        UserError: The split is empty, or there are no windows, or nothing that they could be around.
    """

    def __init__(
        self,
        examples: Examples,
        transform_graph: TransformGraph,
        task: Task,
        split: str,
        cache: str = "auto",
        foreground: float = 0.0,
    ):
        self._examples, self._split = examples, split
        preprocessing, document = load(transform_graph.saved_model), transform_graph.read()

        @tf.autograph.experimental.do_not_convert
        def decode(example: dict[str, tf.Tensor]) -> Batch:
            pixels, frame = preprocessing.read(example["image"])
            return {"images": pixels, **task.annotations(example, frame, tf.shape(pixels)[:2])}

        self._preprocessing, self._decode = preprocessing, decode
        self._windows = Windows(document, foreground) if document["resize"] == "none" else None
        self._records = read_learned(examples, split, task)
        self.count = int(self._records.cardinality())
        self._spec = self._records.map(decode).element_spec
        if foreground and not (self._windows and _PLACES & self._spec.keys()):
            raise UserError(
                "trainer.foreground is for windows of images with masks or boxes",
                expected="transform.resize: none, and a task on masks or boxes",
                received=f"transform.resize: {document['resize']}, and {', '.join(sorted(self._spec))}",
                where="trainer.foreground in the config",
                fix="leave it out",
            )
        if windows := self._windows:
            self._decode = tf.autograph.experimental.do_not_convert(
                lambda example: windows.looked_at(decode(example))
            )
        is_kept = cache == "memory" or (cache == "auto" and self._bytes() <= _CACHE_BYTES)
        self._flat = Flat(self._decoded(self._records), self.count, windows) if is_kept and windows else None
        self._kept = self._read_all() if is_kept and not windows else None

    def _bytes(self) -> float:
        """Returns how much memory the decoded split takes, as far as that is known before it is read."""
        if not self._windows:
            return self.count * _bytes_of(self._spec)
        sizes = read_facts(self._examples, ["width", "height"], self._split)
        width, height = (sizes[side].to_numpy().astype(np.int64) for side in ("width", "height"))
        maps = [spec for spec in tf.nest.flatten(self._spec) if spec.shape.rank == 3]
        each = sum(spec.shape[-1] * spec.dtype.size for spec in maps)
        return int(width @ height) * (each + self._windows.place_bytes(self._spec))

    def _read_all(self) -> Batch:
        with tf.device("CPU:0"):
            return batch_filled(self._decoded(self._records), self.count).get_single_element()

    def _decoded(self, records: tf.data.Dataset) -> tf.data.Dataset:
        return records.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """Returns batches of all examples, in stored order."""
        if self._kept is not None:
            return tf.data.Dataset.range(self.count).batch(batch_size).map(self._gather)
        if self._flat:
            examples = tf.data.Dataset.range(self.count).map(self._flat.take)
        else:
            examples = self._decoded(self._records)
        return (self._windows.batched if self._windows else batch_filled)(examples, batch_size)

    def as_trained(self, batch_size: int) -> tf.data.Dataset:
        """Returns batches in stored order, of windows where training takes windows."""
        if not self._windows:
            return self.in_order(batch_size)
        return self._ready(self._records, tf.zeros([2], tf.int32), 0, batch_size)

    def drawn(
        self, seed: tf.Tensor, batch_size: int, first: tf.Tensor, order: tf.Tensor | None
    ) -> tf.data.Dataset:
        """Returns batches of one epoch, each to be looked up; in a graph.

        Args:
            seed: int32 [2]: the order depends on it alone, and what is cut out of images that are read.
            batch_size: Examples a batch; the last may have fewer.
            first: int64 []: so many batches are left out at the beginning.
            order: int64 [count]: the examples of the epoch, in random order; None for each once.
        """
        if self._kept is None and self._flat is None:
            records = self._records if order is None else self._repeated(order)
            tf.random.set_seed(1)  # of this graph: it is mixed in, and must be no 0 beside a tensor
            records = records.shuffle(
                self._buffer, tf.bitcast(seed, tf.int64), reshuffle_each_iteration=False
            )
            return self._ready(records, seed, first * batch_size, batch_size)
        if order is None:
            order = tf.random.experimental.stateless_shuffle(tf.range(self.count, dtype=tf.int64), seed)
        positions = tf.data.Dataset.from_tensor_slices(order)
        return positions.skip(first * batch_size).batch(batch_size)

    def _ready(
        self, chosen: tf.data.Dataset, seed: tf.Tensor, skipped: tf.Tensor | int, batch_size: int
    ) -> tf.data.Dataset:
        """Returns batches of chosen records, decoded and cut; each by its place in the epoch."""

        @tf.autograph.experimental.do_not_convert
        def ready(place: tf.Tensor, record: dict[str, tf.Tensor]) -> Batch:
            example = self._decode(record)
            return self._windows.cut(example, fold(seed + 2, place)) if self._windows else example

        places = chosen.enumerate().skip(skipped)
        return batch_filled(places.map(ready, num_parallel_calls=tf.data.AUTOTUNE), batch_size)

    def _repeated(self, order: tf.Tensor) -> tf.data.Dataset:
        """Returns encoded examples in stored order, each as often as it is in `order`."""
        counts = tf.math.bincount(tf.cast(order, tf.int32), minlength=self.count, dtype=tf.int64)
        pairs = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(counts), self._records)
        return pairs.flat_map(lambda count, example: tf.data.Dataset.from_tensors(example).repeat(count))

    def look_up(self, drawn: typing.Any, seed: tf.Tensor) -> Batch:
        """Returns the batch that an element of `drawn` stands for, in a graph.

        Args:
            drawn: It.
            seed: int32 [2]; decides on windows of images that are kept.
        """
        if self._flat:
            return self._flat.cut(drawn, seed)
        return drawn if self._kept is None else self._gather(drawn)

    def _gather(self, positions: tf.Tensor) -> Batch:
        return tf.nest.map_structure(lambda values: tf.gather(values, positions), self._kept)

    def normalize(self, batch: Batch) -> Batch:
        """Returns a batch with images as the model takes them."""
        return {**batch, "images": self._preprocessing.normalize(batch["images"])}

    @property
    def has_labels(self) -> bool:
        """Whether each example has one class, which the task asks for."""
        return "label" in self._records.element_spec and "labels" in self._spec

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
