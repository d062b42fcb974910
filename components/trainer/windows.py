"""Images that keep their sizes: windows of them for training, whole and padded for evaluation."""

import typing

import tensorflow as tf

from conveyor.components.datasets import filling
from conveyor.models.augmentation import boxes
from conveyor.models.ops.images import padded_size
from conveyor.models.tasks.task import Batch
from conveyor.models.void import VOID

_MAPS = "images", "segmentation_masks"  # what has a row for each row of the image


class Windows:
    """What becomes of decoded examples, whose images have sizes of their own.

    Args:
        document: Of a TransformGraph, with `resize` none.
        foreground: Share in [0, 1] of windows, in training, that are around something of a random class
            that the image has: a pixel of its mask that is not of the first class; with boxes, the centre of
            one. Images that have nothing give windows from anywhere.

    Source: Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image
    segmentation", Nature Methods 2021, "patch sampling": a third of its windows are such.
    """

    def __init__(self, document: dict[str, typing.Any], foreground: float = 0.0):
        self._size = (document["height"], document["width"])
        self._stride, self._fill = document["stride"], tf.constant(document["fill"], tf.uint8)
        self._foreground = foreground

    def cut(self, example: Batch, seed: tf.Tensor) -> Batch:
        """Returns a random window of an example; where the image is smaller, it is padded.

        Args:
            example: `images` uint8 [height, width, channels]; maybe `segmentation_masks` and
                `bounding_boxes`, which are cut too; what has other keys stays as it is.
            seed: int32 [2]; decides where.
        """
        corner = self._corner(example, seed)
        found = {**example, "images": self._window(example["images"] - self._fill, corner, 0) + self._fill}
        if "segmentation_masks" in example:
            found["segmentation_masks"] = self._window(example["segmentation_masks"], corner, VOID)
        if "bounding_boxes" in example:
            found["bounding_boxes"] = self._cut_boxes(example["bounding_boxes"], corner)
        return found

    def _corner(self, example: Batch, seed: tf.Tensor) -> tf.Tensor:
        room = tf.maximum(tf.shape(example["images"])[:2] - self._size, 0)
        corner = tf.cast(tf.random.stateless_uniform([2], seed) * tf.cast(room + 1, tf.float32), tf.int32)
        corner = tf.minimum(corner, room)  # floats may round up
        if not self._foreground:
            return corner
        draws = tf.random.stateless_uniform([3], tf.random.experimental.stateless_fold_in(seed, 1))
        half = tf.constant(self._size) // 2
        around = tf.clip_by_value(_something(example, draws[1:], corner + half) - half, 0, room)
        return tf.where(draws[0] < self._foreground, around, corner)

    def _window(self, pixels: tf.Tensor, corner: tf.Tensor, fill: int) -> tf.Tensor:
        height, width = self._size
        taken = pixels[corner[0] : corner[0] + height, corner[1] : corner[1] + width]
        missing = tf.constant(self._size) - tf.shape(taken)[:2]
        padded = tf.pad(taken, [[0, missing[0]], [0, missing[1]], [0, 0]], constant_values=fill)
        return tf.ensure_shape(padded, [height, width, pixels.shape[-1]])

    def _cut_boxes(self, found: boxes.Boxes, corner: tf.Tensor) -> boxes.Boxes:
        shift = tf.cast(tf.tile(corner[::-1], [2]), tf.float32)
        moved = {"boxes": found["boxes"] - shift, "labels": found["labels"]}
        return boxes.clip(moved, boxes.image_window(self._size)[0])

    def batched(self, examples: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of whole images, padded like the largest of the batch; masks with void."""

        def shifted(example: Batch) -> Batch:  # so that padding with 0 is padding with the colour
            return {**example, "images": example["images"] - self._fill}

        values = {name: _fill_of(name, spec) for name, spec in examples.element_spec.items()}
        return examples.map(shifted).padded_batch(size, padding_values=values).map(self._pad_to_stride)

    def _pad_to_stride(self, batch: Batch) -> Batch:
        shape = tf.shape(batch["images"])[1:3]
        missing = padded_size(shape[tf.newaxis], self._stride) - shape
        edges = [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]
        found = {**batch, "images": tf.pad(batch["images"], edges) + self._fill}
        if "segmentation_masks" in batch:
            found["segmentation_masks"] = tf.pad(batch["segmentation_masks"], edges, constant_values=VOID)
        return found


class Flat:
    """Decoded examples in memory, of images of all sizes, one after another in one buffer.

    Args:
        examples: Decoded examples, in stored order.
        count: How many there are.
    """

    def __init__(self, examples: tf.data.Dataset, count: int):
        spec = examples.element_spec
        self._channels = {name: spec[name].shape[-1] for name in _MAPS if name in spec}

        def flat(example: Batch) -> tuple[tf.Tensor, Batch, Batch]:
            maps = {name: tf.reshape(example[name], [-1]) for name in self._channels}
            others = {name: value for name, value in example.items() if name not in maps}
            return tf.shape(example["images"], tf.int64)[:2], maps, others

        with tf.device("CPU:0"):
            self._sizes, maps, others = examples.map(flat).ragged_batch(count).get_single_element()
            self._starts = tf.cumsum(tf.reduce_prod(self._sizes, 1), exclusive=True)
            self._pixels = {name: rows.flat_values for name, rows in maps.items()}
            self._others = tf.nest.map_structure(_filled, others)

    def take(self, position: tf.Tensor) -> Batch:
        """Returns one example, in a graph."""
        size, start = self._sizes[position], self._starts[position]
        found = tf.nest.map_structure(lambda values: values[position], self._others)
        for name, channels in self._channels.items():
            part = tf.slice(self._pixels[name], [start * channels], [size[0] * size[1] * channels])
            found[name] = tf.reshape(part, [size[0], size[1], channels])
        return found


def _filled(values: typing.Any) -> tf.Tensor:
    """Returns rows of one length, as `batch_filled` does."""
    return values.to_tensor(filling(values)) if isinstance(values, tf.RaggedTensor) else values


def _fill_of(name: str, spec: typing.Any) -> typing.Any:
    """Returns what an annotation is padded with."""
    value = {"images": 0, "segmentation_masks": VOID}.get(name, -1)
    return tf.nest.map_structure(lambda one: tf.cast(value, one.dtype), spec)


def _something(example: Batch, draws: tf.Tensor, otherwise: tf.Tensor) -> tf.Tensor:
    """Returns row and column, int32 [2], in a random class that an example has, and there in a random place.

    Args:
        example: With `bounding_boxes`, or with `segmentation_masks` of classes.
        draws: float32 [2] in [0, 1): they decide.
        otherwise: What is returned where there is nothing.
    """
    if "bounding_boxes" in example:
        boxes, labels = example["bounding_boxes"]["boxes"], example["bounding_boxes"]["labels"]
        counts = tf.math.bincount(labels + 1)[1:]  # without padding

        def places(index: tf.Tensor) -> tf.Tensor:
            return tf.boolean_mask((boxes[:, 1::-1] + boxes[:, :1:-1]) / 2, labels == index)
    else:
        mask = example["segmentation_masks"]
        counts = tf.math.bincount(tf.cast(mask, tf.int32), minlength=VOID)[1:VOID]

        def places(index: tf.Tensor) -> tf.Tensor:
            return tf.where(mask[..., 0] == tf.cast(index + 1, tf.uint8))

    def something() -> tf.Tensor:
        index = _pick(tf.where(counts > 0)[:, 0], draws[0])
        return tf.cast(_pick(places(tf.cast(index, tf.int32)), draws[1]), tf.int32)

    return tf.cond(tf.reduce_any(counts > 0), something, lambda: otherwise)


def _pick(values: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    count = tf.shape(values)[0]
    return values[tf.minimum(tf.cast(draw * tf.cast(count, tf.float32), tf.int32), count - 1)]
