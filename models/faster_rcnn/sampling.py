"""Which of many anchors or regions a loss is of."""

import tensorflow as tf


def sample(matched: tf.Tensor, count: int, share: float, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws at random from those that are to find an object, and fills up with background.

    Args:
        matched: int32 [n, a], as `assign` returns it: the object, `NEGATIVE` or `IGNORED`.
        count: Number of rows drawn.
        share: The most that have an object, in (0, 1]; there is always room for one.
        seed: int32 [2]; the same draws the same.

    Returns:
        int32 [n, k], which, those with an object first, k = count or a if that is less; and bool [n, k],
        whether it counts, as there may be less than k to draw from. At most `positives(k, share)` of
        them have an object.

    Source: Girshick, "Fast R-CNN", ICCV 2015, section 2.3; Ren et al., "Faster R-CNN", NIPS 2015, 3.1.3.
    """
    count = min(count, matched.shape[1] or count)
    limit = positives(count, share)
    # where every platform draws the same; none is 0
    drawn = 1.0 - tf.random.stateless_uniform(tf.shape(matched), seed, alg="philox")
    chances = tf.where(matched >= 0, drawn, 0.0)
    least = tf.math.top_k(chances, limit)[0][:, -1:]
    wanted = (matched >= 0) & (chances >= least)
    keys = tf.where(wanted, 1.0 + drawn, tf.where(matched == -1, drawn, 0.0))
    best, index = tf.math.top_k(keys, count)
    return index, best > 0


def positives(count: int, share: float) -> int:
    """Returns how many of the drawn can have an object."""
    return max(1, int(count * share))
