"""Boxes as offsets from anchors, which is what a detector's head predicts."""

import math
from collections.abc import Sequence

import tensorflow as tf

from conveyor.models.ops.boxes import from_centers, to_centers

VARIANCES = (0.1, 0.1, 0.2, 0.2)  # of SSD
_SMALLEST = 1e-3  # pixels: a size below counts as this, so that a padding's offset is finite
_LARGEST = math.log(1000 / 16)  # of a size / the anchor's: an untrained head's must not overflow


def encode(boxes: tf.Tensor, anchors: tf.Tensor, variances: Sequence[float] = VARIANCES) -> tf.Tensor:
    """Returns the offsets that lead from anchors to boxes.

    Args:
        boxes: [..., 4], xyxy in pixels; broadcasts with `anchors`.
        anchors: [..., 4], xyxy in pixels, with area.
        variances: What the four offsets are divided by, to be of similar size.

    Returns:
        float32 [..., 4]: x and y of the centre, from the anchor's, as shares of its width and height; and the
        logarithms of width and height as shares of the anchor's; over variances.

    Source: Girshick et al., "Rich feature hierarchies", CVPR 2014, appendix C; Liu et al., "SSD", ECCV 2016,
    for the variances.
    """
    centers, sizes = to_centers(boxes)
    anchor_centers, anchor_sizes = to_centers(anchors)
    moved = (centers - anchor_centers) / anchor_sizes
    scaled = tf.math.log(tf.maximum(sizes, _SMALLEST) / anchor_sizes)
    return tf.concat([moved, scaled], -1) / tf.constant(variances, tf.float32)


def decode(offsets: tf.Tensor, anchors: tf.Tensor, variances: Sequence[float] = VARIANCES) -> tf.Tensor:
    """Returns the boxes to which offsets lead: the inverse of `encode`.

    A box is at most 62.5 times as wide or high as its anchor.

    Args:
        offsets: float32 or bfloat16 [..., 4]; broadcasts with `anchors`.
        anchors: [..., 4], xyxy in pixels.
        variances: As encoded.

    Returns:
        float32 [..., 4], xyxy in pixels, also outside the image.
    """
    moved, scaled = tf.split(tf.cast(offsets, tf.float32) * tf.constant(variances, tf.float32), 2, -1)
    centers, sizes = to_centers(anchors)
    return from_centers(centers + moved * sizes, sizes * tf.exp(tf.minimum(scaled, _LARGEST)))
