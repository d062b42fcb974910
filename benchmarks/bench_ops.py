"""Operations of detectors against a plain TensorFlow formulation of the same, in turns, in one process.

    python benchmarks/bench_ops.py [PAIRS]

Prints the median ratio of times (below 1: ours is faster), after a check that both answer the same; and
what XLA makes of ours. The peers are `tf.image.non_max_suppression`, mapped over a batch;
`tf.image.crop_and_resize` at the same samples, and their mean; and a matrix of IoU with a loop that gives
the largest overlap left to its box, one box at a time.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from conveyor.models.ops.anchors import anchor_grid, anchor_shapes
from conveyor.models.ops.assignment import assign
from conveyor.models.ops.regions import roi_align
from conveyor.models.ops.suppression import suppress

Function = Callable[..., tf.Tensor]
SECONDS = 0.1  # of calls, the best of which is taken


def main(pairs: int) -> None:
    """Prints a line for each operation."""
    for images in (1, 8):
        boxes = make_boxes(images, 10_000, 500.0)
        scores = tf.random.stateless_uniform([images, 10_000], [0, 1])
        compare(f"NMS, {images} x 10,000 boxes", our_nms, plain_nms, (boxes, scores), pairs)
    features = tf.random.stateless_normal([1, 50, 50, 256], [0, 2])
    boxes = make_boxes(1, 1_000, 600.0)
    compare("RoI Align, 1,000 regions of 50 x 50 x 256", our_align, plain_align, (features, boxes), pairs)
    anchors = tf.constant(anchor_grid((800, 1000), 8, anchor_shapes([64.0, 128.0], [0.5, 1.0])))
    count = f"{len(anchors):,}"
    boxes = make_boxes(1, 100, 700.0)
    compare(f"assignment, 100 boxes to {count} anchors", our_assign, plain_assign, (anchors, boxes), pairs)


def compare(name: str, ours: Function, plain: Function, arguments: tuple[tf.Tensor, ...], pairs: int) -> None:
    """Times two functions that answer the same, in turns."""
    functions = [tf.function(ours), tf.function(plain), tf.function(ours, jit_compile=True)]
    answers = [function(*arguments).numpy() for function in functions]
    for answer in answers[1:]:
        np.testing.assert_allclose(answers[0], answer, atol=1e-3)
    seconds = [[spent(function, arguments) for function in functions] for _ in range(pairs)]
    ratios = [ours_took / plain_took for ours_took, plain_took, _ in seconds]
    middle = [1e3 * statistics.median(column) for column in zip(*seconds, strict=True)]
    print(
        f"{name}: {middle[0]:.2f} ms / {middle[1]:.2f} ms = {statistics.median(ratios):.2f}"
        f" ({min(ratios):.2f} to {max(ratios):.2f}); compiled by XLA {middle[2]:.2f} ms",
        flush=True,
    )


def spent(function: Function, arguments: tuple[tf.Tensor, ...]) -> float:
    """Returns the seconds of one call, the best of at least three."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < SECONDS:
        began = time.perf_counter()
        function(*arguments).numpy()
        times.append(time.perf_counter() - began)
    return min(times)


def make_boxes(images: int, count: int, extent: float) -> tf.Tensor:
    """Returns random boxes of 10 to 100 pixels, float32 [images, count, 4]."""
    low = tf.random.stateless_uniform([images, count, 2], [1, 1], 10.0, extent)
    size = tf.random.stateless_uniform([images, count, 2], [1, 2], 10.0, 100.0)
    return tf.concat([low, low + size], -1)


# === non-maximum suppression ===


def our_nms(boxes: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Returns the boxes that are kept and their scores, [n, 100, 5]."""
    kept = suppress(boxes, scores, limit=100, score_threshold=0.05)
    return tf.concat([kept["boxes"], kept["scores"][..., tf.newaxis]], -1)


def plain_nms(boxes: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """Returns the same."""

    def one(image: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        index = tf.image.non_max_suppression(*image, 100, 0.5, 0.05)
        kept = tf.concat([tf.gather(image[0], index), tf.gather(image[1], index)[:, tf.newaxis]], -1)
        return tf.pad(kept, [[0, 100 - tf.shape(kept)[0]], [0, 0]])

    return tf.map_fn(one, (boxes, scores), fn_output_signature=tf.TensorSpec([100, 5]))


# === RoI Align ===


def our_align(features: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns [1, n, 7, 7, channels] of a map of stride 16."""
    return roi_align([features], [16], boxes)


def plain_align(features: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns the same for regions on the map."""
    left, top, right, bottom = tf.unstack(boxes[0] / 16.0, axis=-1)
    y, x = (bottom - top) / 28.0 - 0.5, (right - left) / 28.0 - 0.5
    ends = tf.stack([top + y, left + x, bottom - y - 1.0, right - x - 1.0], -1) / 49.0
    crops = tf.image.crop_and_resize(features, ends, tf.zeros(tf.shape(ends)[:1], tf.int32), [14, 14])
    return tf.nn.avg_pool2d(crops, 2, 2, "VALID")[tf.newaxis]


# === assignment ===


def our_assign(anchors: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns the box of each anchor, [1, a]."""
    return assign(anchors, boxes, tf.zeros(boxes.shape[:2], tf.int32), negative=0.5)


def plain_assign(anchors: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Returns the same."""
    a, b = anchors[tf.newaxis], boxes[0][:, tf.newaxis]
    shared = tf.maximum(tf.minimum(a[..., 2:], b[..., 2:]) - tf.maximum(a[..., :2], b[..., :2]), 0.0)
    shared = tf.reduce_prod(shared, -1)
    areas = [tf.reduce_prod(box[..., 2:] - box[..., :2], -1) for box in (a, b)]
    overlaps = shared / (areas[0] + areas[1] - shared)
    matched = tf.where(tf.reduce_max(overlaps, 0) >= 0.5, tf.argmax(overlaps, 0, tf.int32), -1)
    count = tf.shape(overlaps)[1]
    for _ in tf.range(tf.shape(overlaps)[0]):
        best = tf.argmax(tf.reshape(overlaps, [-1]), output_type=tf.int32)
        box, anchor = best // count, best % count
        matched = tf.tensor_scatter_nd_update(matched, [[anchor]], [box])
        overlaps = tf.tensor_scatter_nd_update(overlaps, [[box]], tf.fill([1, count], -1.0))
        overlaps = tf.where(tf.range(count) == anchor, -1.0, overlaps)
    return matched[tf.newaxis]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
