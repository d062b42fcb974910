"""Decoded examples in memory, of images that keep their sizes."""

import typing

import tensorflow as tf

from conveyor.components.datasets import filling
from conveyor.components.trainer.windows import COUNTS, PLACES, Windows
from conveyor.models.tasks.task import Batch

_MAPS = "images", "segmentation_masks"  # what has a row for each row of the image


class Flat:
    """Decoded examples of images of all sizes, one after another in one buffer.

    Args:
        examples: Decoded examples, in stored order, as `windows` looked at them.
        count: How many there are.
        windows: How they are cut.
    """

    def __init__(self, examples: tf.data.Dataset, count: int, windows: Windows):
        spec = examples.element_spec
        self._windows = windows
        maps = [name for name in _MAPS if name in spec]

        @tf.autograph.experimental.do_not_convert
        def flat(example: Batch) -> tuple[tf.Tensor, Batch, Batch]:
            long = {name: tf.reshape(example[name], [-1, spec[name].shape[-1]]) for name in maps}
            if PLACES in example:
                long[PLACES] = example[PLACES]
            others = {name: value for name, value in example.items() if name not in long}
            return tf.shape(example["images"])[:2], long, others

        with tf.device("CPU:0"):
            self._sizes, long, others = examples.map(flat).ragged_batch(count).get_single_element()
            areas = tf.reduce_prod(tf.cast(self._sizes, tf.int64), 1)
            self._starts = tf.cumsum(areas, exclusive=True)
            places = long.pop(PLACES, tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int32), [0] * count))
            self._places, self._place_starts = places.flat_values, places.row_starts()
            self._maps = {name: rows.flat_values for name, rows in long.items()}
            self._others = tf.nest.map_structure(_filled, others)
            self._counts = self._others.pop(COUNTS, None)

    def take(self, position: tf.Tensor) -> Batch:
        """Returns one example, whole, in a graph."""
        size, start = self._sizes[position], self._starts[position]
        found = tf.nest.map_structure(lambda values: values[position], self._others)
        for name, pixels in self._maps.items():
            part = pixels[start : start + tf.cast(size[0] * size[1], tf.int64)]
            found[name] = tf.reshape(part, [size[0], size[1], pixels.shape[-1]])
        return found

    def cut(self, positions: tf.Tensor, seed: tf.Tensor) -> Batch:
        """Returns a random window of each of some examples, in a graph; see `Windows.cut`.

        Args:
            positions: int64 [n].
            seed: int32 [2]; decides where.
        """
        found = tf.nest.map_structure(lambda values: tf.gather(values, positions), self._others)
        sizes = tf.gather(self._sizes, positions)
        counts = None if self._counts is None else tf.gather(self._counts, positions)
        corners = self._windows.corners(sizes, seed, counts, lambda numbers: self._place(positions, numbers))
        at, is_inside = self._pixels(positions, sizes, corners)
        for name, pixels in self._maps.items():
            found[name] = tf.where(is_inside, tf.gather(pixels, at), self._windows.fills[name])
        if "bounding_boxes" in found:
            found["bounding_boxes"] = self._windows.cut_boxes(found["bounding_boxes"], corners)
        return found

    def _place(self, positions: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        starts = tf.gather(self._place_starts, positions)
        return tf.gather(self._places, starts + tf.cast(numbers, starts.dtype))

    def _pixels(
        self, positions: tf.Tensor, sizes: tf.Tensor, corners: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns where the pixels of windows are, int64 [n, rows, columns], and whether, bool [..., 1]."""
        rows, columns = (corners[:, axis, tf.newaxis] + tf.range(self._windows.size[axis]) for axis in (0, 1))
        is_row, is_column = rows < sizes[:, :1], columns < sizes[:, 1:]
        starts = tf.gather(self._starts, positions)[:, tf.newaxis]
        rows = starts + tf.cast(tf.where(is_row, rows * sizes[:, 1:], 0), tf.int64)
        columns = tf.cast(tf.where(is_column, columns, 0), tf.int64)
        is_inside = is_row[:, :, tf.newaxis] & is_column[:, tf.newaxis]
        return rows[:, :, tf.newaxis] + columns[:, tf.newaxis], is_inside[..., tf.newaxis]


def _filled(values: typing.Any) -> tf.Tensor:
    """Returns rows of one length, as `batch_filled` does."""
    return values.to_tensor(filling(values)) if isinstance(values, tf.RaggedTensor) else values
