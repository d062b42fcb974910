"""The layers between the two stages: which regions are looked at, and what is seen there."""

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.ops import boxes as box_ops
from conveyor.models.ops.offsets import decode
from conveyor.models.ops.regions import region_levels, roi_align, roi_pool
from conveyor.models.ops.suppression import suppress

VARIANCES = (1.0, 1.0, 1.0, 1.0)  # of the first stage's offsets
_SMALLEST = 1.0  # square pixels: what is left of a box in the image


class Proposals(keras.layers.Layer):
    """Makes of what the first stage says of anchors the regions that the second looks at.

    Args:
        anchors: Of each level, float32 [a, 4].
        image_size: (height, width) in pixels; boxes are cut to it.
        before: Best boxes of each level that are looked at.
        most: Boxes kept in an image.
        iou: Of two boxes of a level that overlap by more, the better is kept.

    Input: objectness float32 [n, a], logits; and offsets float32 [n, a, 4]; level by level.
    Output: float32 [n, most, 4], xyxy in pixels, -1 is padding. No gradient goes through: with it, the
    first stage would learn from what the second does with a region's coordinates (Ren et al., 3.2, call
    this approximate joint training).
    """

    def __init__(self, anchors, image_size, before, most, iou, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._counts = [len(level) for level in anchors]
        self._anchors = np.concatenate(anchors)
        self._size = image_size
        self._before, self._most, self._iou = before, most, iou

    def call(self, objectness, offsets):
        objectness, offsets = tf.stop_gradient(objectness), tf.stop_gradient(offsets)
        best, places, levels = [], [], []
        start = 0
        for level, count in enumerate(self._counts):
            logits, place = tf.math.top_k(objectness[:, start : start + count], min(self._before, count))
            best.append(logits)
            places.append(place + start)
            levels.append(tf.fill(tf.shape(place), level))
            start += count
        place = tf.concat(places, 1)
        found = decode(tf.gather(offsets, place, batch_dims=1), tf.gather(self._anchors, place), VARIANCES)
        found = box_ops.clip(found, *self._size)
        scores = tf.sigmoid(tf.cast(tf.concat(best, 1), tf.float32))
        scores = tf.where(box_ops.area(found) >= _SMALLEST, scores, 0.0)  # not above the threshold
        kept = suppress(found, scores, tf.concat(levels, 1), limit=self._most, iou_threshold=self._iou)
        return tf.stop_gradient(kept["boxes"])

    def compute_output_spec(self, objectness, offsets):
        del offsets
        return keras.KerasTensor((objectness.shape[0], self._most, 4), "float32")


class RegionFeatures(keras.layers.Layer):
    """Takes features of regions from the level of the pyramid that suits their size.

    Args:
        levels: log2 of each map's stride.
        size: Bins along each side of a region.
        pooling: "align" or "pool".

    Input: a list of maps [n, rows, columns, channels], and boxes float32 [n, r, 4], xyxy in pixels.
    Output: [n, r, size, size, channels], of the maps' type.
    """

    def __init__(self, levels, size, pooling, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self._levels, self._size = list(levels), (size, size)
        self._take = {"align": roi_align, "pool": roi_pool}[pooling]

    def call(self, maps, boxes):
        strides = [2**level for level in self._levels]
        suited = region_levels(boxes, len(strides), finest=self._levels[0])
        return self._take(maps, strides, boxes, suited, size=self._size)

    def compute_output_spec(self, maps, boxes):
        shape = (*boxes.shape[:2], *self._size, maps[0].shape[-1])
        return keras.KerasTensor(shape, maps[0].dtype)
