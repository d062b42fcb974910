"""Losses and metric of pixels against Keras's and TensorFlow's own: values and gradients, in turns.

    python benchmarks/bench_pixels.py [PAIRS]

Prints the median ratio of speeds, for masks of 2 and of 11 classes. The peers: cross-entropy and Dice as they
are written with `tf.nn.sparse_softmax_cross_entropy_with_logits`, `tf.nn.softmax` and `tf.one_hot`, and
`keras.metrics.MeanIoU`.
"""

import statistics
import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from measure import rate

from conveyor.models.losses.segmentation import PixelCrossentropy, RegionLoss, SumOfLosses
from conveyor.models.metrics.mean_iou import MeanIoU
from conveyor.models.void import VOID

SHAPES = {"16 windows of 128x128, 2 classes": (16, 128, 2), "8 scenes of 96x96, 11 classes": (8, 96, 11)}


def plain(mask: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns cross-entropy and Dice, the classes in the last axis."""
    truth = tf.cast(mask[..., 0], tf.int32)
    known = tf.cast(truth != VOID, tf.float32)
    truth = tf.where(truth == VOID, 0, truth)
    pixels = tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits) * known
    told = tf.nn.softmax(logits) * known[..., tf.newaxis]
    wanted = tf.one_hot(truth, logits.shape[-1]) * known[..., tf.newaxis]
    hits, told, wanted = (tf.reduce_sum(part, [1, 2]) for part in (told * wanted, told, wanted))
    regions = 1 - (hits + 1) / ((told + wanted) / 2 + 1)
    present = tf.cast(wanted > 0, tf.float32)
    dice = tf.reduce_sum(regions * present, 1) / tf.reduce_sum(present, 1)
    return tf.reduce_mean(tf.reduce_sum(pixels, [1, 2]) / tf.reduce_sum(known, [1, 2]) + dice)


def with_gradient(loss: Callable, mask: tf.Tensor, logits: tf.Tensor) -> Callable:
    """Returns a function that computes the loss and its gradient."""

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(mask, logits)
        return tape.gradient(value, logits)

    return run


def counting(metric: keras.Metric, mask: tf.Tensor, logits: tf.Tensor) -> Callable:
    """Returns a function that counts a batch."""
    return tf.function(lambda: metric.update_state(mask, logits))


def main(pairs: int) -> None:
    """Prints a line for each shape and each of loss and metric."""
    for name, (count, side, classes) in SHAPES.items():
        rng = np.random.default_rng(0)
        mask = tf.constant(rng.integers(0, classes, (count, side, side, 1)), tf.uint8)
        logits = tf.constant(rng.normal(size=(count, side, side, classes)), tf.float32)
        ours, theirs = SumOfLosses([PixelCrossentropy(), RegionLoss()]), plain
        np.testing.assert_allclose(ours(mask, logits), theirs(mask, logits), rtol=1e-5)
        metric = MeanIoU(classes)
        peer = keras.metrics.MeanIoU(classes, ignore_class=VOID, sparse_y_pred=False)
        rivals = {
            "loss": (with_gradient(ours, mask, logits), with_gradient(theirs, mask, logits)),
            "metric": (counting(metric, mask, logits), counting(peer, mask, logits)),
        }
        for what, (own, other) in rivals.items():
            own(), other()
            ratios = [rate(own) / rate(other) for _ in range(pairs)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{name}, {what}: {statistics.median(ratios):.2f} times as fast ({spread})", flush=True)


if __name__ == "__main__":
    main(int((*sys.argv[1:], "5")[0]))
