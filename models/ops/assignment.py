"""Which anchor is to find which box."""

import tensorflow as tf

from conveyor.models.ops.boxes import coverage, iou, matrix

NEGATIVE = -1  # an anchor that is to find nothing
IGNORED = -2  # an anchor that counts for nothing

_INSIDE = 0.5  # share of an anchor in an ignored region from which it is no background


def assign(
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    labels: tf.Tensor,
    ignored: tf.Tensor | None = None,
    *,
    positive: float = 0.5,
    negative: float = 0.4,
    force: bool = True,
) -> tf.Tensor:
    """Returns the box that each anchor is to find.

    1. With `force`, each box gets the anchor that overlaps it most (`force_best`), however little.
    2. Any other anchor gets the box that it overlaps most, if with an IoU >= `positive`.
    3. Of the rest, those with an IoU < `negative` are background, and those between count for nothing.
       Nor does background count that lies by half or more in a crowd or a difficult object.

    Holds [n, m, a] overlaps several times: for many large images, map it over them.

    Args:
        anchors: float32 [a, 4] or [n, a, 4], xyxy in pixels.
        boxes: float32 [n, m, 4], xyxy in pixels; m >= 1, paddings will do.
        labels: int [n, m]; -1 is padding.
        ignored: bool [n, m]; crowds and difficult objects, which need not be found, whatever their label.
        positive: IoU in (0, 1].
        negative: IoU in [0, positive].
        force: Whether each box gets an anchor.

    Returns:
        int32 [n, a]: index of the box, `NEGATIVE` or `IGNORED`.

    Raises:
        ValueError: The thresholds are not in order.

    Source: Liu et al., "SSD", ECCV 2016, section 2.2 (matching strategy); Ren et al., "Faster R-CNN",
    NIPS 2015, section 3.1.2 (the zone between the thresholds).
    """
    if not 0 <= negative <= positive <= 1 or positive == 0:
        raise ValueError(f"expected 0 <= negative <= positive <= 1. Received: {negative=}, {positive=}")
    real = labels >= 0
    wanted = real if ignored is None else real & ~ignored
    overlaps = tf.stop_gradient(matrix(iou, _only(boxes, wanted), anchors))
    best = tf.reduce_max(overlaps, 1)
    nearest = tf.argmax(overlaps, 1, tf.int32)
    rest = tf.where(best < negative, NEGATIVE, IGNORED)
    matched = tf.where(best >= positive, nearest, rest)
    if ignored is not None:
        inside = matrix(coverage, anchors, _only(boxes, ignored))
        inside = tf.reduce_max(inside, -1) >= _INSIDE
        matched = tf.where(inside & (matched == NEGATIVE), IGNORED, matched)
    if force:
        owner = force_best(overlaps)
        matched = tf.where(owner >= 0, owner, matched)
    return matched


def force_best(overlaps: tf.Tensor) -> tf.Tensor:
    """Gives each box an anchor of its own, greedily: the largest overlap first, then of what is left.

    Ties go to the first box, then to its first anchor. A box that overlaps no free anchor gets none.

    Args:
        overlaps: float32 [n, m, a], >= 0.

    Returns:
        int32 [n, a]: index of the box, or -1.
    """
    batch, boxes, anchors = (tf.shape(overlaps)[axis] for axis in range(3))
    image = tf.broadcast_to(tf.range(batch)[:, tf.newaxis], [batch, boxes])
    mine = tf.broadcast_to(tf.range(boxes), [batch, boxes])

    def proceed(owner: tf.Tensor, waiting: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A pair that is the largest for both its box and its anchor is one that greed would choose, whatever
        # it chooses first: so all such pairs are taken at once, and few rounds do.
        free = tf.where((owner[:, :-1] >= 0)[:, tf.newaxis], 0.0, overlaps)
        proposal = tf.argmax(free, -1, tf.int32)
        rivals = tf.gather(free, proposal, axis=2, batch_dims=1)  # [n, box, proposal of box]
        rivals = tf.where(waiting[..., tf.newaxis], rivals, 0.0)
        waiting &= tf.linalg.diag_part(rivals) > 0.0
        accepted = waiting & (tf.argmax(rivals, 1, tf.int32) == mine)
        places = tf.stack([image, tf.where(accepted, proposal, anchors)], -1)
        return tf.tensor_scatter_nd_update(owner, places, mine), waiting & ~accepted

    # one column more, where what is not accepted goes
    start = tf.fill([batch, anchors + 1], -1), tf.ones([batch, boxes], tf.bool)
    owner, _ = tf.while_loop(lambda _, waiting: tf.reduce_any(waiting), proceed, start)
    return owner[:, :-1]


def take(matched: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what each anchor is to find.

    Args:
        matched: int32 [n, a], as `assign` returns it.
        boxes: float32 [n, m, 4].
        labels: int32 [n, m].

    Returns:
        Boxes, [n, a, 4], those of anchors without one any; and labels, int32 [n, a], `NEGATIVE` or `IGNORED`
        where there is no box.
    """
    place = tf.maximum(matched, 0)
    found = tf.gather(labels, place, batch_dims=1)
    return tf.gather(boxes, place, batch_dims=1), tf.where(matched >= 0, tf.cast(found, tf.int32), matched)


def _only(boxes: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """Makes boxes that are not kept overlap nothing."""
    return tf.where(kept[..., tf.newaxis], tf.cast(boxes, tf.float32), -1.0)
