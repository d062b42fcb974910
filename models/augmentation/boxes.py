"""What becomes of boxes where pixels move; see `conveyor.models.ops.boxes` for their conventions."""

import tensorflow as tf

from conveyor.models.ops.boxes import area

_SMALLEST_SIDE = 1.0  # pixels
_SMALLEST_SHARE = 0.1  # of its area that must still be seen

Boxes = dict[str, tf.Tensor]


def keep(found: Boxes, kept: tf.Tensor) -> Boxes:
    """Makes padding of boxes.

    Args:
        found: `boxes` float32 [n, m, 4] xyxy in pixels, `labels` int32 [n, m], -1 is padding.
        kept: bool [n, m]; what is False becomes padding.
    """
    kept &= found["labels"] >= 0
    boxes = tf.where(kept[..., tf.newaxis], found["boxes"], -tf.ones_like(found["boxes"]))
    return {"boxes": boxes, "labels": tf.where(kept, found["labels"], -tf.ones_like(found["labels"]))}


def clip(found: Boxes, window: tf.Tensor) -> Boxes:
    """Cuts boxes to a window; those of which too little is left become padding.

    Args:
        found: As in `keep`.
        window: float32 [n or 1, 1, 4] xyxy in pixels.
    """
    low = tf.maximum(found["boxes"][..., :2], window[..., :2])
    high = tf.minimum(found["boxes"][..., 2:], window[..., 2:])
    boxes = tf.concat([low, high], -1)
    seen = area(boxes) >= _SMALLEST_SHARE * area(found["boxes"])
    kept = seen & tf.reduce_all(high - low >= _SMALLEST_SIDE, -1)
    return keep({"boxes": boxes, "labels": found["labels"]}, kept)


def move(found: Boxes, matrix: tf.Tensor, size: tuple[tf.Tensor, tf.Tensor]) -> Boxes:
    """Returns the boxes around the moved corners of boxes, cut to the image.

    Args:
        found: As in `keep`.
        matrix: float32 [n, 3, 3]; from a pixel of the result to the pixel it is taken from, both
            (column, row, 1) of its centre, which is half a pixel more in the coordinates of boxes.
        size: Height and width of the image.
    """
    x0, y0, x1, y1 = tf.unstack(found["boxes"] - 0.5, axis=-1)
    one = tf.ones_like(x0)
    corners = tf.stack([tf.stack([x, y, one], -1) for x in (x0, x1) for y in (y0, y1)], -2)
    homogeneous = tf.einsum("nij,nmcj->nmci", _adjugate(matrix), corners)
    moved = homogeneous[..., :2] / homogeneous[..., 2:] + 0.5
    boxes = tf.concat([tf.reduce_min(moved, 2), tf.reduce_max(moved, 2)], -1)
    return clip({"boxes": boxes, "labels": found["labels"]}, image_window(size))


def image_window(size: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Returns the box of a whole image, float32 [1, 1, 4], from its height and width."""
    height, width = (tf.cast(side, tf.float32) for side in size)
    return tf.reshape(tf.stack([0.0, 0.0, width, height]), [1, 1, 4])


def _adjugate(matrix: tf.Tensor) -> tf.Tensor:
    """Returns the inverse of [n, 3, 3] but for a factor, and no error where there is none."""
    first, second, third = tf.unstack(matrix, axis=2)
    crossed = [tf.linalg.cross(second, third), tf.linalg.cross(third, first), tf.linalg.cross(first, second)]
    return tf.stack(crossed, axis=1)


def outside(found: Boxes, window: tf.Tensor) -> Boxes:
    """Keeps boxes as they are but for those that a window covers so that too little is seen.

    Args:
        found: As in `keep`.
        window: float32 [n, 1, 4] xyxy in pixels.
    """
    low = tf.maximum(found["boxes"][..., :2], window[..., :2])
    high = tf.maximum(tf.minimum(found["boxes"][..., 2:], window[..., 2:]), low)
    whole = area(found["boxes"])
    return keep(found, whole - area(tf.concat([low, high], -1)) >= _SMALLEST_SHARE * whole)
