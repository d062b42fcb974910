"""What the two stages are told to find, and what it costs not to."""

import typing

import tensorflow as tf

from conveyor.models.detection.losses import overlap_loss, smooth_l1
from conveyor.models.faster_rcnn.regions import VARIANCES as FIRST_VARIANCES
from conveyor.models.faster_rcnn.sampling import positives, sample
from conveyor.models.ops.assignment import IGNORED, assign, take
from conveyor.models.ops.boxes import area
from conveyor.models.ops.offsets import decode, encode

Settings = dict[str, typing.Any]
_FIRST_BETA = 1 / 9  # where the smooth L1 loss of the first stage turns straight; that of the second at 1


# === the first stage ===


def proposal_losses(
    raw: dict[str, tf.Tensor],
    anchors: tf.Tensor,
    matched: tf.Tensor,
    targets: dict[str, tf.Tensor],
    settings: Settings,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what the region proposal network has lost: on objectness, and on boxes.

    Args:
        raw: `objectness` float32 [n, a], `offsets` float32 [n, a, 4].
        anchors: float32 [a, 4].
        matched: int32 [n, a], the box that each is to find, as `assign` returns it.
        targets: `boxes` float32 [n, m, 4] and `labels` int32 [n, m].
        settings: Fields of `ProposalsSettings`.
        seed: int32 [2], of the anchors drawn.

    Returns:
        float32 [], twice; means over the anchors drawn.

    Source: Ren et al., "Faster R-CNN", NIPS 2015, section 3.1.2.
    """
    index, counts = sample(matched, settings["sample"], settings["share"], seed)
    matched = tf.gather(matched, index, batch_dims=1)
    boxes, labels = take(matched, targets["boxes"], targets["labels"])
    logits = tf.gather(raw["objectness"], index, batch_dims=1)
    found = tf.cast(labels >= 0, tf.float32)
    objectness = tf.nn.sigmoid_cross_entropy_with_logits(found, logits)
    offsets = tf.gather(raw["offsets"], index, batch_dims=1)
    wanted = encode(boxes, tf.gather(anchors, index), FIRST_VARIANCES)
    distance = _FIRST_BETA * smooth_l1(offsets / _FIRST_BETA, wanted / _FIRST_BETA)
    return _mean(objectness, counts), _mean(tf.where(labels >= 0, distance, 0.0), counts)


# === the second stage ===


class Drawn(typing.NamedTuple):
    """Regions that the second stage's loss is of; those that show an object come first.

    Args:
        boxes: float32 [n, k, 4], xyxy in pixels.
        matched: int32 [n, k], the object each is of, negative for background.
        targets: float32 [n, k, 4], the box of that object.
        labels: int32 [n, k], its class, negative for background.
        counts: bool [n, k], whether it counts.
        most: No more of them show an object.
    """

    boxes: tf.Tensor
    matched: tf.Tensor
    targets: tf.Tensor
    labels: tf.Tensor
    counts: tf.Tensor
    most: int


def draw_regions(
    proposals: tf.Tensor, targets: dict[str, tf.Tensor], settings: Settings, seed: tf.Tensor
) -> Drawn:
    """Draws from the proposals, and from the true boxes, which also are regions that show something.

    Args:
        proposals: float32 [n, p, 4], -1 is padding.
        targets: `boxes` float32 [n, m, 4] and `labels` int32 [n, m].
        settings: Fields of `RegionsSettings`.
        seed: int32 [2].
    """
    boxes, labels = tf.cast(targets["boxes"], tf.float32), targets["labels"]
    regions = tf.stop_gradient(tf.concat([proposals, boxes], 1))
    limit = settings["positive"]
    thresholds = {"positive": limit, "negative": limit, "force": False}
    matched = assign(regions, boxes, labels, targets.get("ignored"), **thresholds)
    matched = tf.where(area(regions) > 0, matched, IGNORED)
    count = min(settings["sample"], proposals.shape[1])
    index, counts = sample(matched, count, settings["share"], seed)
    matched = tf.gather(matched, index, batch_dims=1)
    found, classes = take(matched, boxes, labels)
    most = positives(count, settings["share"])
    return Drawn(tf.gather(regions, index, batch_dims=1), matched, found, classes, counts, most)


def region_losses(
    logits: tf.Tensor, offsets: tf.Tensor, drawn: Drawn, box_loss: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what the second stage has lost: on classes, and on boxes.

    Args:
        logits: float32 [n, k, classes + 1]; background is the last.
        offsets: float32 [n, k, classes, 4].
        drawn: The regions.
        box_loss: "smooth_l1" of offsets, "giou" or "diou" of boxes.

    Returns:
        float32 [], twice; means over the regions drawn.

    Source: Girshick, "Fast R-CNN", ICCV 2015, section 2.3.
    """
    background = logits.shape[-1] - 1
    classes = tf.where(drawn.labels >= 0, drawn.labels, background)
    wrong = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
    own = tf.gather(offsets, tf.maximum(drawn.labels, 0), batch_dims=2)
    if box_loss == "smooth_l1":
        distance = smooth_l1(own, encode(drawn.targets, _solid(drawn.boxes)))
    else:
        distance = overlap_loss(decode(own, drawn.boxes), drawn.targets, box_loss)
    return _mean(wrong, drawn.counts), _mean(tf.where(drawn.labels >= 0, distance, 0.0), drawn.counts)


def mask_loss(logits: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy of the masks of each region's own class: classes do not compete.

    Args:
        logits: float32 [n, k, s, s, classes].
        labels: int32 [n, k], negative where there is no object.
        targets: bool [n, k, s, s]; an object that shows nowhere does not count.

    Returns:
        float32 [], a mean over objects and pixels.

    Source: He et al., "Mask R-CNN", ICCV 2017, section 3.
    """
    own = own_class(logits, labels)
    wrong = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(targets, tf.float32), own)
    return _mean(tf.reduce_mean(wrong, [2, 3]), (labels >= 0) & tf.reduce_any(targets, [2, 3]))


def own_class(masks: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns each region's mask of its own class, [n, k, s, s], of [n, k, s, s, classes]."""
    one_hot = tf.one_hot(labels, masks.shape[-1])  # of none for a label below 0
    return tf.einsum("nkyxc,nkc->nkyx", masks, one_hot)


# === both ===


def _mean(values: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Returns the mean of what counts; 0 where nothing does."""
    counts = tf.cast(counts, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(values * counts), tf.reduce_sum(counts))


def _solid(boxes: tf.Tensor) -> tf.Tensor:
    """Gives paddings a size, as offsets from one without are no numbers."""
    return tf.where((area(boxes) > 0)[..., tf.newaxis], boxes, [0.0, 0.0, 1.0, 1.0])
