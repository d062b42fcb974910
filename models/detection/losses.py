"""Losses of detectors, an anchor at a time; all in float32, whatever they are given."""

import tensorflow as tf

from conveyor.models.ops.boxes import diou, giou

_OVERLAPS = {"giou": giou, "diou": diou}
_SMALLEST = 1e-7  # below it, the slope of a power under 1 is no number


def smooth_l1(found: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Returns float32 [...], the sum over the last axis: squares of small errors, sizes of large ones.

    Args:
        found: float32 or bfloat16 [..., 4], offsets.
        wanted: The same.

    Source: Girshick, "Fast R-CNN", ICCV 2015, equation 3.
    """
    error = tf.abs(tf.cast(found, tf.float32) - tf.cast(wanted, tf.float32))
    return tf.reduce_sum(tf.where(error < 1.0, 0.5 * error**2, error - 0.5), -1)


def overlap_loss(found: tf.Tensor, wanted: tf.Tensor, kind: str) -> tf.Tensor:
    """Returns float32 [...] in [0, 2]: 1 less how well boxes overlap.

    Args:
        found: [..., 4], xyxy in pixels.
        wanted: The same.
        kind: "giou" or "diou".
    """
    return 1.0 - _OVERLAPS[kind](found, wanted)


def sigmoid_focal(logits: tf.Tensor, targets: tf.Tensor, gamma: float, alpha: float | None) -> tf.Tensor:
    """Returns float32 of the shape of the logits: cross-entropy that counts the less, the nearer it is.

    With targets between 0 and 1 this is the quality focal loss.

    Args:
        logits: float32 or bfloat16.
        targets: float32 in [0, 1], what the sigmoid of the logits should be.
        gamma: >= 0, the power of the distance.
        alpha: Weight of targets of 1, that of 0 being 1 - alpha; None for no weights.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 5; Li et al.,
    "Generalized Focal Loss", NeurIPS 2020, equation 5.
    """
    logits = tf.cast(logits, tf.float32)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
    distance = tf.maximum(tf.abs(targets - tf.sigmoid(logits)), _SMALLEST)
    loss = distance**gamma * entropy
    return loss if alpha is None else loss * (alpha * targets + (1.0 - alpha) * (1.0 - targets))


def hardest(loss: tf.Tensor, allowed: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns which anchors have the largest losses, bool [n, a].

    Args:
        loss: float32 [n, a], >= 0.
        allowed: bool [n, a], those that can be chosen.
        count: int32 [n], how many to choose; fewer where fewer can be. Of equal losses the first.

    Source: Liu et al., "SSD", ECCV 2016, section 2.2 (hard negative mining).
    """
    order = tf.argsort(tf.where(allowed, loss, -1.0), 1, "DESCENDING", stable=True)
    place = tf.argsort(order, 1)  # of each anchor in that order
    return allowed & (place < count[:, tf.newaxis])
