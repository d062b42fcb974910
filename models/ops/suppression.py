"""Of detections that overlap, the best: non-maximum suppression. All shapes are static, as TPUs need."""

import tensorflow as tf

from conveyor.models.ops.boxes import iou, matrix, overlaps

Detections = dict[str, tf.Tensor]

_LEAST = 1e-6  # what a lower score counts as in a vote
_NONE = -100.0  # the logarithm of none


def candidates(boxes: tf.Tensor, scores: tf.Tensor, limit: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the best pairs of a box and a class, for suppression: a box may be several objects.

    Args:
        boxes: [n, a, 4], or [n, a, classes, 4] where each class has its own.
        scores: [n, a, classes], without background.
        limit: Number of pairs; fewer where there are not as many.

    Returns:
        Boxes [n, k, 4], scores float32 [n, k], descending, and labels int32 [n, k].
    """
    pairs, classes = scores.shape[1] * scores.shape[2], scores.shape[2]
    flat = tf.reshape(tf.cast(scores, tf.float32), [-1, pairs])
    best, place = tf.math.top_k(flat, min(limit, pairs))
    if boxes.shape.rank == 4:
        taken = tf.gather(tf.reshape(boxes, [-1, pairs, 4]), place, batch_dims=1)
    else:
        taken = tf.gather(boxes, place // classes, batch_dims=1)
    return taken, best, place % classes


def suppress(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    labels: tf.Tensor | None = None,
    *,
    limit: int,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
) -> Detections:
    """Keeps boxes, the best first, that overlap none that is kept with an IoU > `iou_threshold`.

    Args:
        boxes: [n, a, 4], xyxy in pixels.
        scores: float32 or bfloat16 [n, a]; of equal ones the first box comes first.
        labels: int32 [n, a]: boxes of different classes do not compete. None: all compete.
        limit: Number of boxes that are kept, and of rows in the result.
        iou_threshold: In [0, 1].
        score_threshold: A box is kept if its score is larger.

    Returns:
        `boxes` float32 [n, limit, 4], `scores` float32 [n, limit], descending, `labels` int32 [n, limit] (0
        if all compete), `index` int32 [n, limit], which rows they were. Padding is -1, its score 0.

    Source: Girshick et al., "Rich feature hierarchies", CVPR 2014, section 2.2.
    """
    rows = min(limit, boxes.shape[1] or limit)  # XLA's takes no more
    many = (boxes.shape[1] or 0) >= 40 * limit

    def keep(image: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        def every() -> tuple[tf.Tensor, tf.Tensor]:
            return _suppress_one(*image, rows, iou_threshold, score_threshold)

        if not many:
            index, count = every()
            return tf.where(tf.range(rows) < count, index, -1)
        # Most of the time goes into sorting boxes that are never looked at. So the best are tried alone,
        # above a score guessed from every 16th: where they fill the result, the others cannot change it.
        guess = tf.math.top_k(image[1][::16], 1 + 10 * limit // 16)[0][-1]
        guess = tf.maximum(guess, score_threshold)
        found = _suppress_one(*image, rows, iou_threshold, guess)
        again = tf.logical_and(found[1] < rows, guess > score_threshold)
        index, count = tf.cond(again, every, lambda: found)
        return tf.where(tf.range(rows) < count, index, -1)

    scores, apart = tf.cast(scores, tf.float32), _apart(boxes, labels)
    if boxes.shape[0] == 1:  # without a loop, which some runtimes cannot do
        index = keep((apart[0], scores[0]))[tf.newaxis]
    else:
        index = tf.map_fn(keep, (apart, scores), fn_output_signature=tf.TensorSpec([rows], tf.int32))
    index = tf.pad(index, [[0, 0], [0, limit - rows]], constant_values=-1)
    kept = tf.gather(scores, tf.maximum(index, 0), batch_dims=1)
    return _take(boxes, labels, index, kept)


def soft_suppress(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    labels: tf.Tensor | None = None,
    *,
    limit: int,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
) -> Detections:
    """Keeps boxes, the best first; each lowers the scores of those left, by exp(-IoU^2 / sigma).

    Args:
        boxes: As in `suppress`.
        scores: The same, >= 0.
        labels: The same.
        limit: The same.
        sigma: > 0; `tf.image.non_max_suppression_with_scores` calls half of it so.
        score_threshold: >= 0. A box is kept if its lowered score is larger.

    Returns:
        As `suppress` does, with lowered scores.

    Source: Bodla et al., "Soft-NMS", ICCV 2017, equation 3.
    """
    apart = _apart(boxes, labels)

    def keep(step: tf.Tensor, left: tf.Tensor, index: tf.Tensor, kept: tf.Tensor) -> tuple:
        best = tf.argmax(left, 1, tf.int32)
        score = tf.gather(left, best, batch_dims=1)
        good = score > score_threshold
        index = tf.tensor_scatter_nd_update(index, [[step]], [tf.where(good, best, -1)])
        kept = tf.tensor_scatter_nd_update(kept, [[step]], [tf.where(good, score, 0.0)])
        chosen = tf.gather(apart, best, batch_dims=1)[:, tf.newaxis]
        left *= tf.exp(-(iou(chosen, apart) ** 2) / sigma)
        gone = tf.range(tf.shape(left)[1]) == best[:, tf.newaxis]
        return step + 1, tf.where(gone, -1.0, left), index, kept

    shape = [limit, tf.shape(boxes)[0]]
    left = tf.where(tf.cast(scores, tf.float32) >= 0, tf.cast(scores, tf.float32), -1.0)
    start = 0, left, tf.fill(shape, -1), tf.zeros(shape)
    _, _, index, kept = tf.while_loop(lambda step, *_: step < limit, keep, start, maximum_iterations=limit)
    return _take(boxes, labels, tf.transpose(index), tf.transpose(kept))


def vote(
    found: Detections, boxes: tf.Tensor, scores: tf.Tensor, labels: tf.Tensor, *, iou_threshold: float
) -> Detections:
    """Moves each box that was kept to the mean of those it was kept from, weighted by their scores.

    Args:
        found: Of `suppress` or `soft_suppress`.
        boxes: [n, a, 4], what it was given.
        scores: [n, a], the same, >= 0.
        labels: int32 [n, a], the same.
        iou_threshold: In (0, 1]: a box of the same class that overlaps it by at least this has a vote.

    Returns:
        `found` with other `boxes`; a padding, or a box without area, stays.

    Source: Gidaris and Komodakis, "Object detection via a multi-region and semantic segmentation-aware CNN
    model", ICCV 2015, "bounding box voting".
    """
    boxes, scores = tf.cast(boxes, tf.float32), tf.cast(scores, tf.float32)
    near = matrix(lambda a, b: overlaps(a, b, iou_threshold), found["boxes"], boxes)
    near &= found["labels"][:, :, tf.newaxis] == labels[:, tf.newaxis]
    # as a softmax, which runtimes with 8-bit numbers have too: there, a small sum to divide by may become 0
    votes = tf.where(near, tf.math.log(tf.maximum(scores, _LEAST))[:, tf.newaxis], _NONE)
    means = tf.nn.softmax(votes) @ boxes
    # rounding leads no box out of the image
    means = tf.clip_by_value(means, tf.reduce_min(boxes, 1, True), tf.reduce_max(boxes, 1, True))
    voted = tf.reduce_any(near, 2, keepdims=True)
    return {**found, "boxes": tf.where(voted, means, found["boxes"])}


def _suppress_one(
    boxes: tf.Tensor, scores: tf.Tensor, rows: int, iou_threshold: float, score_threshold: tf.Tensor | float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns which boxes of an image are kept, int32 [rows], and how many."""
    # this one of TensorFlow's has a kernel for CPUs and one for XLA
    found = tf.raw_ops.NonMaxSuppressionV4(
        boxes=boxes,
        scores=scores,
        max_output_size=rows,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        pad_to_max_output_size=True,
    )
    return found.selected_indices, found.valid_outputs


def _take(boxes: tf.Tensor, labels: tf.Tensor | None, index: tf.Tensor, scores: tf.Tensor) -> Detections:
    there, place = index >= 0, tf.maximum(index, 0)
    taken = tf.gather(tf.cast(boxes, tf.float32), place, batch_dims=1)
    found = tf.zeros_like(index) if labels is None else tf.gather(labels, place, batch_dims=1)
    return {
        "boxes": tf.where(there[..., tf.newaxis], taken, -1.0),
        "scores": tf.where(there, scores, 0.0),
        "labels": tf.where(there, found, -1),
        "index": index,
    }


def _apart(boxes: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
    """Moves the boxes of each class to a place of its own, where they overlap no others.

    The places are a square, as a row would take the coordinates of many classes to where float32 is coarse.
    """
    boxes = tf.cast(boxes, tf.float32)
    if labels is None:
        return boxes
    low, high = tf.reduce_min(boxes, [1, 2], True), tf.reduce_max(boxes, [1, 2], True)
    classes = tf.cast(tf.maximum(tf.reduce_max(labels) + 1, 1), tf.float32)
    side = tf.cast(tf.math.ceil(tf.sqrt(classes)), labels.dtype)
    place = tf.cast(tf.stack([labels % side, labels // side], -1), tf.float32)
    return boxes - low + tf.tile(place, [1, 1, 2]) * (high - low)
