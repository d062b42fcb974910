"""Images that keep their sizes: windows of them for training, whole and padded for evaluation."""

import typing

import tensorflow as tf

from conveyor.models.augmentation import boxes
from conveyor.models.ops.images import padded_size
from conveyor.models.tasks.task import Batch
from conveyor.models.void import VOID

COUNTS, PLACES = "counts", "places"  # what there is for windows to be around, see `_things`
_DRAWS = 5  # random numbers that decide on a window


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
        self.size = (document["height"], document["width"])
        self._stride, self._fill = document["stride"], tf.constant(document["fill"], tf.uint8)
        self._foreground = foreground
        self.fills = {"images": self._fill, "segmentation_masks": tf.constant(VOID, tf.uint8)}
        """What lies outside of an image."""

    def looked_at(self, example: Batch) -> Batch:
        """Returns a decoded example with what `cut` asks of all of it, found once where examples are kept."""
        return {**example, **_things(example)} if self._foreground else example

    def place_bytes(self, spec: typing.Mapping[str, typing.Any]) -> int:
        """Returns the bytes a pixel, at the most, that what is found out takes; of examples like `spec`."""
        return tf.int32.size if self._foreground and "bounding_boxes" not in spec else 0

    def cut(self, example: Batch, seed: tf.Tensor) -> Batch:
        """Returns a random window of an example; where the image is smaller, it is padded.

        Args:
            example: Of `looked_at`: `images` uint8 [height, width, channels]; maybe `segmentation_masks` and
                `bounding_boxes`, which are cut too; what has other keys stays as it is.
            seed: int32 [2]; decides where.
        """
        found = {name: value for name, value in example.items() if name not in (COUNTS, PLACES)}
        size = tf.shape(example["images"])[:2]
        counts = example[COUNTS][tf.newaxis] if self._foreground else None
        corner = self.corners(
            size[tf.newaxis], seed, counts, lambda number: tf.gather(example[PLACES], number)
        )[0]
        for name in self.fills.keys() & example.keys():
            found[name] = self._window(example[name], corner, self.fills[name])
        if "bounding_boxes" in example:
            found["bounding_boxes"] = self.cut_boxes(example["bounding_boxes"], corner)
        return found

    def corners(
        self,
        sizes: tf.Tensor,
        seed: tf.Tensor,
        counts: tf.Tensor | None,
        places: typing.Callable[[tf.Tensor], tf.Tensor],
    ) -> tf.Tensor:
        """Returns row and column of the first pixel of a window of each example, int32 [n, 2].

        Args:
            sizes: int32 [n, 2], of whole images.
            seed: int32 [2]; decides where.
            counts: int32 [n, classes], things of each class; below 1 is none. None where windows are from
                anywhere.
            places: From numbers, int32 [n], to the places of these of the examples' things, int32 [n]: row
                times the image's width, plus column. Things of lower classes have lower numbers.
        """
        draws = tf.random.stateless_uniform([tf.shape(sizes)[0], _DRAWS], seed)
        room = tf.maximum(sizes - self.size, 0)
        corners = _below(room + 1, draws[:, :2])
        if counts is None:
            return corners
        is_there = tf.cast(counts > 0, tf.int32)
        kinds = tf.reduce_sum(is_there, 1)
        wanted = tf.cumsum(is_there, 1) * is_there == _below(kinds, draws[:, 3])[:, tf.newaxis] + 1
        chosen = tf.argmax(tf.cast(wanted, tf.int32), 1, tf.int32)
        before = tf.gather(tf.cumsum(tf.maximum(counts, 0), 1, exclusive=True), chosen, batch_dims=1)
        number = before + _below(tf.gather(counts, chosen, batch_dims=1), draws[:, 4])
        place, width = places(number), sizes[:, 1]
        middle = tf.stack([place // width, place % width], 1)
        around = tf.clip_by_value(middle - tf.constant(self.size) // 2, 0, room)
        is_around = (draws[:, 2] < self._foreground) & (kinds > 0)
        return tf.where(is_around[:, tf.newaxis], around, corners)

    def _window(self, pixels: tf.Tensor, corner: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
        height, width = self.size
        taken = pixels[corner[0] : corner[0] + height, corner[1] : corner[1] + width]
        missing = tf.constant(self.size) - tf.shape(taken)[:2]
        padded = tf.pad(taken - fill, [[0, missing[0]], [0, missing[1]], [0, 0]]) + fill
        return tf.ensure_shape(padded, [height, width, pixels.shape[-1]])

    def cut_boxes(self, found: boxes.Boxes, corners: tf.Tensor) -> boxes.Boxes:
        """Returns boxes as windows have them.

        Args:
            found: `boxes` float32 [..., m, 4] and `labels` int32 [..., m].
            corners: int32 [..., 2].
        """
        shift = tf.cast(tf.reverse(corners, [-1]), tf.float32)
        moved = found["boxes"] - tf.concat([shift, shift], -1)[..., tf.newaxis, :]
        return boxes.clip({**found, "boxes": moved}, boxes.image_window(self.size)[0])

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


def _fill_of(name: str, spec: typing.Any) -> typing.Any:
    """Returns what an annotation is padded with."""
    value = {"images": 0, "segmentation_masks": VOID}.get(name, -1)
    return tf.nest.map_structure(lambda one: tf.cast(value, one.dtype), spec)


def _things(example: Batch) -> Batch:
    """Returns what windows may be around: how many things of each class there are, and where.

    Args:
        example: With `bounding_boxes`, or with `segmentation_masks` of classes; a thing is a box, or a pixel
            that is not of the first class.

    Returns:
        `counts` int32 [classes], and `places` int32 [things + 1], see `Windows.corners`; the last is none's.
    """
    if "bounding_boxes" in example:
        labels = example["bounding_boxes"]["labels"]
        is_one = labels >= 0  # no padding
        corners = tf.boolean_mask(example["bounding_boxes"]["boxes"], is_one)
        middles = tf.cast((corners[:, :2] + corners[:, 2:]) / 2, tf.int32)
        classes = tf.boolean_mask(labels, is_one)
        places = tf.gather(
            middles[:, 1] * tf.shape(example["images"])[1] + middles[:, 0], tf.argsort(classes, stable=True)
        )
    else:
        mask = tf.cast(tf.reshape(example["segmentation_masks"], [-1]), tf.int32)
        at = tf.where((mask > 0) & (mask != VOID))[:, 0]
        classes = tf.gather(mask, at) - 1
        # a sixth of the time of sorting, where a mask of megapixels has classes all over
        places = tf.concat(tf.dynamic_partition(tf.cast(at, tf.int32), classes, VOID - 1), 0)
    return {COUNTS: tf.math.bincount(classes, minlength=1), PLACES: tf.concat([places, [0]], 0)}


def _below(limits: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Returns integers in [0, limit), int32, that draws in [0, 1) decide on; 0 where there are none."""
    chosen = tf.cast(draws * tf.cast(limits, tf.float32), tf.int32)
    return tf.minimum(chosen, tf.maximum(limits - 1, 0))  # floats may round up
