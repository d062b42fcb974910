"""Masks of single objects: one map of whole numbers for all objects of an image.

A pixel of the map is 0 where there is no object, `FIRST` + k where object k is seen, and `VOID` where nothing
is known, as outside of a picture that was moved. So it moves with the pixels as any mask does, and where
objects overlap, it says which is in front. Object k is row k of the image's boxes.
"""

import hotcoco.mask
import numpy as np
import tensorflow as tf

FIRST = 256  # of object 0: above all that a mask of classes holds


def instance_map(counts: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns the map of an image's objects; where they overlap, the one of less pixels is in front.

    Args:
        counts: string [m], COCO's compressed run lengths; "" for an object whose outline is not known.
        height: int [], of the image.
        width: int [].

    Returns:
        int32 [height, width, 1].
    """
    found = tf.numpy_function(draw_instances, [counts, height, width], tf.int32)
    return tf.ensure_shape(found, [None, None, 1])


def draw_instances(counts: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns what `instance_map` does, of NumPy arrays."""
    size = [int(height), int(width)]
    drawn = np.zeros(size, np.int32)
    known = [(k, {"size": size, "counts": run}) for k, run in enumerate(counts.tolist()) if run]
    masks = [(k, np.asarray(hotcoco.mask.decode(rle)).astype(bool)) for k, rle in known]
    for k, mask in sorted(masks, key=lambda pair: (-pair[1].sum(), pair[0])):
        drawn[mask] = FIRST + k
    return drawn[..., np.newaxis]


def crop_instances(instances: tf.Tensor, boxes: tf.Tensor, owner: tf.Tensor, size: int) -> tf.Tensor:
    """Returns where in each region an object is seen.

    Args:
        instances: int32 [n, height, width, 1].
        boxes: [n, r, 4], xyxy in pixels.
        owner: int32 [n, r], the pixels of the object asked for, `FIRST` + k; any below for none.
        size: Pixels along each side of the results.

    Returns:
        bool [n, r, size, size]: of the map's pixel at the centre of each; False outside of the map.
    """
    height, width = tf.shape(instances)[1], tf.shape(instances)[2]
    share = (tf.range(size, dtype=tf.float32) + 0.5) / size
    left, top, right, bottom = (side[..., tf.newaxis] for side in tf.unstack(boxes, axis=-1))
    column = tf.cast(tf.floor(left + share * (right - left)), tf.int32)
    row = tf.cast(tf.floor(top + share * (bottom - top)), tf.int32)
    across, down = (column >= 0) & (column < width), (row >= 0) & (row < height)
    column, row = tf.clip_by_value(column, 0, width - 1), tf.clip_by_value(row, 0, height - 1)
    place = row[..., :, tf.newaxis] * width + column[..., tf.newaxis, :]
    flat = tf.reshape(instances, [tf.shape(instances)[0], -1])
    seen = tf.gather(flat, place, batch_dims=1) == owner[..., tf.newaxis, tf.newaxis]
    seen &= down[..., :, tf.newaxis] & across[..., tf.newaxis, :]
    return seen & (owner >= FIRST)[..., tf.newaxis, tf.newaxis]


def paste_masks(
    masks: np.ndarray, boxes: np.ndarray, height: int, width: int, threshold: float = 0.5
) -> np.ndarray:
    """Returns masks that are relative to their boxes as masks of the image.

    Args:
        masks: [d, s, s] in [0, 1].
        boxes: [d, 4], xyxy in pixels of the image.
        height: Of the image.
        width: The same.
        threshold: A pixel is of the object if the mask there, interpolated, is at least this.

    Returns:
        bool [d, height, width].
    """
    pasted = np.zeros((len(boxes), height, width), bool)
    for one, mask, box in zip(
        pasted, np.asarray(masks, np.float64), np.asarray(boxes, np.float64), strict=True
    ):
        rows, up = _taps(box[1], box[3], height, len(mask))
        columns, across = _taps(box[0], box[2], width, mask.shape[1])
        if len(rows) and len(columns):
            one[np.ix_(rows, columns)] = up @ mask @ across.T >= threshold
    return pasted


def _taps(low: float, high: float, length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pixels whose centres lie between two borders, and the weight of each mask pixel on each."""
    pixels = np.arange(length)
    pixels = pixels[(pixels + 0.5 >= low) & (pixels + 0.5 < high)]
    at = np.clip((pixels + 0.5 - low) / max(high - low, 1e-9) * size - 0.5, 0, size - 1)
    before = np.floor(at).astype(int)
    weights = np.zeros((len(pixels), size))
    rows = np.arange(len(pixels))
    weights[rows, before] += 1 - (at - before)
    weights[rows, np.minimum(before + 1, size - 1)] += at - before
    return pixels, weights
