"""Boxes. The one place that says how their coordinates are meant.

A box is `xyxy` in pixels: left, top, right, bottom of an image whose first pixel covers 0 to 1. So its
width is right - left, with no pixel more; a box around the pixel in column 3 and row 5 is (3, 5, 4, 6).
Other conventions exist at two borders, and only there:

- in examples, as TFDS's `BBox`: top, left, bottom, right as shares of the image (`from_relative`);
- in COCO's files: left, top, width, height in pixels (`from_xywh`).

As the number of boxes differs from image to image, a batch is padded: a padding has label -1 and box
(-1, -1, -1, -1), whose area is 0 and which overlaps nothing.

All here works and answers in float32, whatever it is given. bfloat16 has 8 bits for a coordinate: above
256 it is wrong by up to a pixel, and an area or an overlap made of it is worth little. So boxes, anchors and
what is decoded from offsets stay float32 also where a model computes in bfloat16; scores, offsets and
features may be bfloat16.

All functions take any leading dimensions, and compile under XLA.
"""

from collections.abc import Callable

import tensorflow as tf


def from_relative(boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns xyxy in pixels, [..., 4], of TFDS's boxes.

    Args:
        boxes: [..., 4], top, left, bottom, right in [0, 1].
        height: Of the image, in pixels; [], or what broadcasts with a coordinate, [...].
        width: The same.
    """
    top, left, bottom, right = tf.unstack(_float(boxes), axis=-1)
    height, width = _float(height), _float(width)
    return tf.stack([left * width, top * height, right * width, bottom * height], -1)


def to_relative(boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns TFDS's boxes of xyxy in pixels: the inverse of `from_relative`."""
    left, top, right, bottom = tf.unstack(_float(boxes), axis=-1)
    height, width = _float(height), _float(width)
    return tf.stack([top / height, left / width, bottom / height, right / width], -1)


def from_xywh(boxes: tf.Tensor) -> tf.Tensor:
    """Returns xyxy, [..., 4], of COCO's left, top, width, height."""
    corner, size = tf.split(_float(boxes), 2, -1)
    return tf.concat([corner, corner + size], -1)


def to_xywh(boxes: tf.Tensor) -> tf.Tensor:
    """Returns COCO's left, top, width, height, [..., 4], of xyxy."""
    low, high = tf.split(_float(boxes), 2, -1)
    return tf.concat([low, high - low], -1)


def from_centers(centers: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Returns xyxy, [..., 4], of centres (x, y) and sizes (width, height), [..., 2] each."""
    centers, half = _float(centers), _float(sizes) / 2.0
    return tf.concat([centers - half, centers + half], -1)


def to_centers(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns centres (x, y) and sizes (width, height), [..., 2] each, of xyxy."""
    low, high = tf.split(_float(boxes), 2, -1)
    return (low + high) / 2.0, high - low


def clip(boxes: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns boxes cut to the image, [..., 4]; one that lies outside becomes one without area.

    A padding becomes (0, 0, 0, 0): it is its label that says what it is.

    Args:
        boxes: [..., 4], xyxy in pixels.
        height: Of the image, in pixels; [], or what broadcasts with a coordinate, [...].
        width: The same.
    """
    left, top, right, bottom = tf.unstack(_float(boxes), axis=-1)
    height, width = _float(height), _float(width)
    across = [tf.clip_by_value(x, 0.0, width) for x in (left, right)]
    down = [tf.clip_by_value(y, 0.0, height) for y in (top, bottom)]
    return tf.stack([across[0], down[0], across[1], down[1]], -1)


def area(boxes: tf.Tensor) -> tf.Tensor:
    """Returns square pixels, [...], of xyxy [..., 4]; 0 where right < left or bottom < top."""
    left, top, right, bottom = tf.unstack(_float(boxes), axis=-1)
    return tf.maximum(right - left, 0.0) * tf.maximum(bottom - top, 0.0)


def matrix(measure: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns a measure of each of some boxes with each of others.

    Args:
        measure: `iou`, `giou`, `diou`, `coverage`, or `overlaps` with a threshold.
        a: [..., n, 4], xyxy.
        b: [..., m, 4], xyxy; leading dimensions broadcast with those of `a`.

    Returns:
        What the measure answers, [..., n, m].
    """
    return measure(a[..., :, tf.newaxis, :], b[..., tf.newaxis, :, :])


def iou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns intersection over union, [...] in [0, 1], of xyxy [..., 4] that broadcast.

    0 where neither has an area.
    """
    shared = _intersection(a, b)
    return tf.math.divide_no_nan(shared, area(a) + area(b) - shared)


def overlaps(a: tf.Tensor, b: tf.Tensor, threshold: float) -> tf.Tensor:
    """Returns whether `iou` >= `threshold`, in (0, 1], bool [...], of xyxy [..., 4] that broadcast.

    Without a division, whose divisor becomes 0 where a runtime has 8 bits for areas.
    """
    shared = _intersection(a, b)
    return (shared > 0) & (shared >= threshold * (area(a) + area(b) - shared))


def giou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns generalized IoU, [...] in [-1, 1]: less, the emptier the smallest box around both is.

    Source: Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019, algorithm 1.
    """
    shared = _intersection(a, b)
    union = area(a) + area(b) - shared
    width, height = _hull(a, b)
    hull = width * height
    return tf.math.divide_no_nan(shared, union) - tf.math.divide_no_nan(hull - union, hull)


def diou(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns distance IoU, [...] in [-1, 1]: IoU less the distance of the centres.

    Both squared, the distance as a share of the diagonal of the smallest box around both.

    Source: Zheng et al., "Distance-IoU Loss", AAAI 2020, equations 6 and 7.
    """
    width, height = _hull(a, b)
    distance = tf.reduce_sum((to_centers(a)[0] - to_centers(b)[0]) ** 2, -1)
    return iou(a, b) - tf.math.divide_no_nan(distance, width**2 + height**2)


def coverage(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Returns what share of `a` lies in `b`, [...] in [0, 1]; 0 where `a` has no area."""
    return tf.math.divide_no_nan(_intersection(a, b), area(a))


def _float(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(value, tf.float32)


def _intersection(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Coordinate by coordinate, as a last dimension of 4 is slow where there are millions of pairs."""
    left_a, top_a, right_a, bottom_a = tf.unstack(_float(a), axis=-1)
    left_b, top_b, right_b, bottom_b = tf.unstack(_float(b), axis=-1)
    width = tf.minimum(right_a, right_b) - tf.maximum(left_a, left_b)
    height = tf.minimum(bottom_a, bottom_b) - tf.maximum(top_a, top_b)
    return tf.maximum(width, 0.0) * tf.maximum(height, 0.0)


def _hull(a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    left_a, top_a, right_a, bottom_a = tf.unstack(_float(a), axis=-1)
    left_b, top_b, right_b, bottom_b = tf.unstack(_float(b), axis=-1)
    width = tf.maximum(right_a, right_b) - tf.minimum(left_a, left_b)
    height = tf.maximum(bottom_a, bottom_b) - tf.minimum(top_a, top_b)
    return width, height
