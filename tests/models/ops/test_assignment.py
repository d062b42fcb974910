import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from ways import random_boxes, run

from conveyor.models.ops import boxes as box_ops
from conveyor.models.ops.anchors import anchor_grid, anchor_shapes
from conveyor.models.ops.assignment import IGNORED, NEGATIVE, assign, force_best, take

ROW = np.float32([[0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10], [30, 0, 40, 10]])  # anchors side by side
FEW_VALUES = arrays.arrays(np.float32, (4, 6), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))  # many ties


def batch(boxes, labels=None):
    boxes = np.float32([boxes])
    return boxes, np.zeros(boxes.shape[:2], np.int32) if labels is None else np.int32([labels])


def greedy(overlaps):
    """The rule word by word: the largest overlap, its box and anchor are done, and again."""
    owner, left = np.full(overlaps.shape[1], -1), overlaps.copy()
    while left.max() > 0:
        box, anchor = np.unravel_index(left.argmax(), left.shape)
        owner[anchor] = box
        left[box], left[:, anchor] = 0, 0
    return owner


def by_loops(anchors, boxes, labels, ignored, positive, negative):
    overlaps = np.array(box_ops.matrix(box_ops.iou, boxes, anchors))
    overlaps[(labels < 0) | ignored] = 0
    inside = np.array(box_ops.matrix(box_ops.coverage, anchors, boxes))[:, ignored]
    matched = []
    for column, forced, share in zip(overlaps.T, greedy(overlaps), inside, strict=True):
        if forced >= 0:
            matched.append(forced)
        elif column.max() >= positive:
            matched.append(column.argmax())
        elif column.max() < negative and not (share >= 0.5).any():
            matched.append(NEGATIVE)
        else:
            matched.append(IGNORED)
    return matched


def test_thresholds_by_hand():
    wide = [0, 0, 18, 10]  # IoU 10/18 and 8/20 with the first two anchors
    boxes, labels = batch([wide])
    found = assign(ROW, boxes, labels, positive=0.5, negative=0.4)[0]
    np.testing.assert_array_equal(found, [0, IGNORED, NEGATIVE, NEGATIVE])
    found = assign(ROW, boxes, labels, positive=0.4, negative=0.4)[0]
    np.testing.assert_array_equal(found, [0, 0, NEGATIVE, NEGATIVE])
    found = assign(ROW, boxes, labels, positive=0.6, negative=0.5, force=False)[0]
    np.testing.assert_array_equal(found, [IGNORED, NEGATIVE, NEGATIVE, NEGATIVE])


def test_a_small_box_gets_an_anchor_nonetheless():
    boxes, labels = batch([[24, 4, 25, 5]])
    np.testing.assert_array_equal(assign(ROW, boxes, labels)[0], [-1, -1, 0, -1])
    np.testing.assert_array_equal(assign(ROW, boxes, labels, force=False)[0], [-1, -1, -1, -1])


def test_boxes_that_want_the_same_anchor_share_by_overlap():
    boxes, labels = batch([[1, 0, 10, 10], [0, 0, 10, 10], [2, 0, 11, 10]])  # all overlap the first most
    np.testing.assert_array_equal(assign(ROW, boxes, labels)[0], [1, 2, -1, -1])


def test_padding_and_images_without_boxes():
    boxes, labels = batch([[-1] * 4, ROW[1], [-1] * 4], [-1, 3, -1])
    np.testing.assert_array_equal(assign(ROW, boxes, labels)[0], [-1, 1, -1, -1])
    around = np.float32([[-6, -6, 4, 4]])  # an anchor around what padding says
    np.testing.assert_array_equal(assign(around, boxes, np.full((1, 3), -1))[0], [NEGATIVE])


def test_crowds_are_neither_objects_nor_background():
    boxes, labels = batch([[0, 0, 24, 10], ROW[3]])
    found = assign(ROW, boxes, labels, np.array([[True, False]]))[0]
    np.testing.assert_array_equal(found, [IGNORED, IGNORED, NEGATIVE, 1])


def test_takes_targets():
    boxes, labels = batch([ROW[1], ROW[3]], [7, 5])
    matched = np.int32([[1, IGNORED, 0, NEGATIVE]])
    found, classes = take(matched, boxes, labels)
    np.testing.assert_array_equal(classes, [[5, IGNORED, 7, NEGATIVE]])
    np.testing.assert_array_equal(found.numpy()[0, [0, 2]], [ROW[3], ROW[1]])


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_as_by_loops(way, dtype):
    anchors = anchor_grid((128, 128), 16, anchor_shapes([16, 40], [0.5, 1]))
    boxes = tf.cast(random_boxes(0, (3, 12)), dtype)
    rng = np.random.default_rng(1)
    labels, ignored = rng.integers(-1, 3, (3, 12)), rng.uniform(size=(3, 12)) < 0.2
    found = run(way, assign, anchors, boxes, labels, ignored)
    assert found.dtype == np.int32
    for row, *image in zip(found, tf.cast(boxes, tf.float32), labels, ignored, strict=True):
        np.testing.assert_array_equal(row, by_loops(anchors, *image, 0.5, 0.4))


@given(FEW_VALUES)
def test_all_at_once_is_what_greed_does(overlaps):
    found = force_best(overlaps[np.newaxis])[0]
    np.testing.assert_array_equal(found, greedy(overlaps))


@settings(max_examples=25)
@given(st.permutations(range(6)))
def test_order_of_boxes_does_not_matter(order):
    order = np.array(order)
    boxes, labels = random_boxes(2, (1, 6), 60.0), np.arange(6)[np.newaxis]
    anchors = random_boxes(3, (40,), 60.0)
    _, one = take(assign(anchors, boxes, labels), boxes, labels)
    _, other = take(assign(anchors, boxes[:, order], labels[:, order]), boxes[:, order], labels[:, order])
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("positive", "negative"), [(0.3, 0.4), (0.0, 0.0), (1.5, 0.4), (0.5, -0.1)])
def test_refuses_thresholds_out_of_order(positive, negative):
    with pytest.raises(ValueError, match="Received"):
        assign(ROW, *batch([ROW[0]]), positive=positive, negative=negative)
