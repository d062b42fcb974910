import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from ways import random_boxes, run

from conveyor.models.ops import boxes as box_ops
from conveyor.models.ops.suppression import candidates, soft_suppress, suppress, vote

THREE = np.float32([[[0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]]])  # the first two have an IoU of 0.8
SCORES = np.float32([[0.6, 0.9, 0.7]])


def some(seed, count=60, images=2):
    rng = np.random.default_rng(seed)
    return random_boxes(seed, (images, count)), rng.permutation(images * count).reshape(
        images, count
    ) / np.float32(images * count)


def by_loops(boxes, scores, labels, limit, threshold, least):
    kept = []
    for row in np.argsort(-scores, kind="stable"):
        rivals = [other for other in kept if labels[other] == labels[row]]
        overlaps = [box_ops.iou(boxes[row], boxes[other]).numpy() for other in rivals]
        if scores[row] > least and len(kept) < limit and all(iou <= threshold for iou in overlaps):
            kept.append(row)
    return kept + [-1] * (limit - len(kept))


def test_by_hand(way):
    found = run(way, lambda *a: suppress(*a, limit=4), THREE, SCORES)
    np.testing.assert_array_equal(found["index"], [[1, 2, -1, -1]])
    np.testing.assert_array_equal(found["boxes"][0], [THREE[0, 1], THREE[0, 2], [-1] * 4, [-1] * 4])
    np.testing.assert_array_equal(found["scores"], np.float32([[0.9, 0.7, 0, 0]]))
    np.testing.assert_array_equal(found["labels"], [[0, 0, -1, -1]])


def test_thresholds_are_not_included():
    keep_both = suppress(THREE, SCORES, limit=3, iou_threshold=0.81)
    np.testing.assert_array_equal(keep_both["index"], [[1, 2, 0]])
    confident = suppress(THREE, SCORES, limit=3, score_threshold=0.7)
    np.testing.assert_array_equal(confident["index"], [[1, -1, -1]])


def test_classes_do_not_compete(way):
    labels = np.int32([[4, 0, 4]])
    found = run(way, lambda *a: suppress(*a, limit=3), THREE, SCORES, labels)
    np.testing.assert_array_equal(found["index"], [[1, 2, 0]])
    np.testing.assert_array_equal(found["labels"], [[0, 4, 4]])


def test_only_padding(way):
    empty = run(
        way, lambda *a: suppress(*a, limit=2), np.full_like(THREE, -1), SCORES * 0, np.int32([[-1] * 3])
    )
    np.testing.assert_array_equal(empty["index"], [[-1, -1]])
    np.testing.assert_array_equal(empty["labels"], [[-1, -1]])


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("limit", [5, 100])
def test_as_tensorflow_does(way, limit, dtype):
    boxes, scores = some(0)
    scores = tf.cast(scores, dtype)  # bfloat16 has ties
    found = run(way, lambda *a: suppress(*a, limit=limit, score_threshold=0.1), tf.cast(boxes, dtype), scores)
    boxes, scores = (tf.cast(tf.cast(value, dtype), tf.float32) for value in (boxes, scores))
    for row, image, score in zip(found["index"], boxes, scores, strict=True):
        expected = tf.image.non_max_suppression(image, score, limit, 0.5, 0.1).numpy()
        np.testing.assert_array_equal(row[row >= 0], expected)
        assert row.shape == (limit,)


@pytest.mark.parametrize("extent", [500.0, 20.0])  # the best boxes are enough; or too few of them differ
@pytest.mark.parametrize("score_threshold", [0.0, 0.95])
def test_of_many_boxes_as_tensorflow_does(way, extent, score_threshold):
    boxes, scores = (
        random_boxes(3, (1, 800), extent),
        np.float32(np.random.default_rng(3).uniform(size=(1, 800))),
    )
    found = run(way, lambda *a: suppress(*a, limit=20, score_threshold=score_threshold), boxes, scores)[
        "index"
    ][0]
    expected = tf.image.non_max_suppression(boxes[0], scores[0], 20, 0.5, score_threshold).numpy()
    np.testing.assert_array_equal(found[found >= 0], expected)


def test_as_by_loops_with_many_classes(way):
    boxes, scores = some(1)
    labels = np.random.default_rng(1).choice([0, 1, 7, 90], (2, 60)).astype(np.int32)
    found = run(way, lambda *a: suppress(*a, limit=50, iou_threshold=0.3), boxes, scores, labels)
    for image, row in enumerate(found["index"]):
        expected = by_loops(boxes[image], scores[image], labels[image], 50, 0.3, 0.0)
        np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("limit", [10, 80])
def test_soft_as_tensorflow_does(way, limit):
    boxes, scores = some(2)
    found = run(way, lambda *a: soft_suppress(*a, limit=limit, score_threshold=0.05), boxes, scores)
    for image in range(2):
        index, kept = tf.image.non_max_suppression_with_scores(
            boxes[image], scores[image], limit, 1.0, 0.05, soft_nms_sigma=0.25
        )
        there = found["index"][image] >= 0
        np.testing.assert_array_equal(found["index"][image][there], index)
        np.testing.assert_allclose(found["scores"][image][there], kept, atol=1e-6)


def test_soft_by_hand():
    found = soft_suppress(THREE, SCORES, limit=4)
    np.testing.assert_array_equal(found["index"], [[1, 2, 0, -1]])
    np.testing.assert_allclose(found["scores"], [[0.9, 0.7, 0.6 * np.exp(-0.64 / 0.5), 0]], rtol=1e-5)
    apart = soft_suppress(THREE, SCORES, np.int32([[0, 1, 0]]), limit=3)
    np.testing.assert_array_equal(apart["scores"], np.float32([[0.9, 0.7, 0.6]]))


def test_votes_by_hand(way):
    labels = np.int32([[0, 0, 1]])
    found = suppress(THREE, SCORES, labels, limit=4)
    voted = run(way, lambda *a: vote(suppress(*a, limit=4), *a, iou_threshold=0.79), THREE, SCORES, labels)
    # bottoms 10 and 8 with scores 0.6 and 0.9: (6 + 7.2) / 1.5 = 8.8; the third is far, the last is padding
    np.testing.assert_allclose(
        voted["boxes"][0], [[0, 0, 10, 8.8], THREE[0, 2], [-1] * 4, [-1] * 4], rtol=1e-6
    )
    for name in ("scores", "labels", "index"):
        np.testing.assert_array_equal(voted[name], found[name])


@pytest.mark.parametrize(("labels", "threshold"), [([[0, 0, 1]], 0.81), ([[1, 0, 0]], 0.5)])
def test_only_what_is_near_and_of_the_class_votes(labels, threshold):
    found = suppress(THREE, SCORES, np.int32(labels), limit=3)
    voted = vote(found, THREE, SCORES, np.int32(labels), iou_threshold=threshold)
    np.testing.assert_allclose(voted["boxes"], found["boxes"], rtol=1e-6)


def test_what_has_no_area_stays_where_it_is():
    points = np.float32([[[3, 3, 3, 3], [3, 3, 3, 3]]])
    found = suppress(points, SCORES[:, :2], np.int32([[0, 0]]), limit=2)
    voted = vote(found, points, SCORES[:, :2], np.int32([[0, 0]]), iou_threshold=0.5)
    np.testing.assert_array_equal(voted["boxes"], found["boxes"])


def test_number_of_boxes_may_be_unknown():
    shapes = [tf.TensorSpec([None, None, 4]), tf.TensorSpec([None, None])]
    function = tf.function(lambda *a: suppress(*a, limit=4), input_signature=shapes)
    np.testing.assert_array_equal(function(THREE, SCORES)["index"], [[1, 2, -1, -1]])


def test_candidates_are_the_best_pairs(way):
    scores = np.float32([[[0.1, 0.9], [0.8, 0.2], [0.0, 0.3]]])
    boxes, best, labels = run(way, lambda *a: candidates(*a, limit=3), THREE, scores)
    np.testing.assert_array_equal(best, np.float32([[0.9, 0.8, 0.3]]))
    np.testing.assert_array_equal(labels, [[1, 0, 1]])
    np.testing.assert_array_equal(boxes[0], THREE[0])
    own = np.stack([THREE, THREE + 100], 2)  # each class has its boxes
    boxes, _, _ = run(way, lambda *a: candidates(*a, limit=30), own, scores)
    assert boxes.shape == (1, 6, 4)
    np.testing.assert_array_equal(boxes[0, :3], [THREE[0, 0] + 100, THREE[0, 1], THREE[0, 2] + 100])


@settings(max_examples=25)
@given(st.integers(0, 1000), st.randoms())
def test_order_does_not_matter_and_twice_is_once(seed, random):
    boxes, scores = some(seed, count=20, images=1)
    labels = np.int32([[row % 2 for row in range(20)]])
    once = suppress(boxes, scores, labels, limit=20)
    twice = suppress(*(once[key] for key in ("boxes", "scores", "labels")), limit=20)
    order = random.sample(range(20), 20)
    moved = suppress(boxes[:, order], scores[:, order], labels[:, order], limit=20)
    for key in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(once[key], twice[key])
        np.testing.assert_array_equal(once[key], moved[key])
