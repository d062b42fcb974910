import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from ways import random_boxes, run

from conveyor.models.ops import boxes

PADDING = np.full((1, 4), -1, np.float32)
CORNERS = arrays.arrays(np.float32, (5, 4), elements=st.integers(0, 64).map(float))


def ordered(corners):
    """Makes boxes of any corners; some have no area."""
    return np.concatenate(
        [np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(*np.split(corners, 2, 1))], 1
    )


def test_formats_by_hand():
    box = [[30.0, 20.0, 90.0, 40.0]]  # in an image of 300 x 200
    np.testing.assert_allclose(boxes.from_relative([[0.1, 0.1, 0.2, 0.3]], 200, 300), box, rtol=1e-6)
    np.testing.assert_allclose(boxes.to_relative(box, 200, 300), [[0.1, 0.1, 0.2, 0.3]], rtol=1e-6)
    np.testing.assert_array_equal(boxes.from_xywh([[30, 20, 60, 20]]), box)
    np.testing.assert_array_equal(boxes.to_xywh(box), [[30, 20, 60, 20]])
    centers, sizes = boxes.to_centers(box)
    np.testing.assert_array_equal(centers, [[60, 30]])
    np.testing.assert_array_equal(sizes, [[60, 20]])
    np.testing.assert_array_equal(boxes.from_centers(centers, sizes), box)
    assert boxes.area(box).numpy() == [1200]


def test_sizes_of_images_broadcast():
    relative = np.tile(np.float32([0, 0, 0.5, 1]), (2, 3, 1))
    found = boxes.from_relative(relative, tf.constant([[10], [20]]), tf.constant([[30], [40]]))
    np.testing.assert_array_equal(found[:, 0], [[0, 0, 30, 5], [0, 0, 40, 10]])


@pytest.mark.parametrize("kind", ["xywh", "rel_yxyx", "center_xywh"])
def test_formats_as_in_keras(way, kind):
    given_ = random_boxes(0, (2, 7))
    convert = {
        "xywh": boxes.to_xywh,
        "rel_yxyx": lambda b: boxes.to_relative(b, 150, 160),
        "center_xywh": lambda b: tf.concat(boxes.to_centers(b), -1),
    }
    expected = keras.utils.bounding_boxes.convert_format(given_, "xyxy", kind, height=150, width=160)
    np.testing.assert_allclose(run(way, convert[kind], given_), expected, rtol=1e-5)


def test_clip():
    found = boxes.clip([[-5.0, 3.0, 20.0, 50.0], [40.0, 0.0, 60.0, 9.0], [-1, -1, -1, -1]], 30, 35)
    np.testing.assert_array_equal(found, [[0, 3, 20, 30], [35, 0, 35, 9], [0, 0, 0, 0]])


def test_overlaps_by_hand():
    a, b = (
        [[0.0, 0.0, 2.0, 2.0]],
        [[1.0, 1.0, 3.0, 3.0]],
    )  # shared 1, union 7, hull 9; centres 2 (squared) of 18
    np.testing.assert_allclose(boxes.iou(a, b), [1 / 7], rtol=1e-6)
    np.testing.assert_allclose(boxes.giou(a, b), [1 / 7 - 2 / 9], rtol=1e-6)
    np.testing.assert_allclose(boxes.diou(a, b), [1 / 7 - 2 / 18], rtol=1e-6)
    np.testing.assert_allclose(boxes.coverage(a, b), [1 / 4], rtol=1e-6)


def test_boxes_side_by_side_do_not_overlap():
    assert boxes.iou([0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 4.0, 2.0]).numpy() == 0
    np.testing.assert_allclose(boxes.giou([0.0, 0.0, 1.0, 1.0], [9.0, 9.0, 10.0, 10.0]), -0.98, rtol=1e-6)


def test_iou_as_in_keras(way):
    a, b = random_boxes(1, (2, 9)), random_boxes(2, (2, 6))
    expected = keras.utils.bounding_boxes.compute_iou(a, b, "xyxy")
    found = run(way, lambda a, b: boxes.matrix(boxes.iou, a, b), a, b)
    assert found.shape == (2, 9, 6)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("measure", [boxes.iou, boxes.giou, boxes.diou, boxes.coverage])
def test_bfloat16_is_answered_in_float32(way, measure):
    a, b = (tf.cast(random_boxes(seed, (8,)), tf.bfloat16) for seed in (3, 4))
    found = run(way, lambda a, b: boxes.matrix(measure, a, b), a, b)
    expected = boxes.matrix(measure, tf.cast(a, tf.float32), tf.cast(b, tf.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("measure", [boxes.iou, boxes.coverage])
def test_padding_overlaps_nothing(measure):
    others = np.concatenate([PADDING, [[-5.0, -5.0, 5.0, 5.0]], [[0, 0, 4, 4]]]).astype(np.float32)
    for pair in ((PADDING, others), (others, PADDING)):
        assert not boxes.matrix(measure, *pair).numpy().any()


@pytest.mark.parametrize("measure", [boxes.iou, boxes.giou, boxes.diou])
def test_gradients_are_finite(measure):
    boxes_ = tf.Variable([[0.0, 0.0, 4.0, 4.0], [3.0, 3.0, 3.0, 3.0], [50.0, 50.0, 60.0, 60.0]])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(measure(boxes_, [[2.0, 2.0, 6.0, 6.0]]))
    assert np.isfinite(tape.gradient(total, boxes_)).all()


@settings(max_examples=25)
@given(CORNERS, CORNERS)
def test_properties_of_overlaps(a, b):
    a, b = ordered(a), ordered(b)
    iou, giou, diou = (boxes.matrix(m, a, b).numpy() for m in (boxes.iou, boxes.giou, boxes.diou))
    np.testing.assert_array_equal(iou, boxes.matrix(boxes.iou, b, a).numpy().T)
    assert (iou >= 0).all()
    assert (iou <= 1).all()
    assert (giou <= iou).all()
    assert (giou >= -1).all()
    assert (diou <= iou).all()
    assert (diou >= -1).all()
    for threshold in (0.3, 0.7):  # where rounding does not decide
        clear = abs(iou - threshold) > 1e-5
        said = boxes.matrix(lambda a, b, t=threshold: boxes.overlaps(a, b, t), a, b).numpy()
        np.testing.assert_array_equal(said[clear], (iou >= threshold)[clear])
    itself = boxes.iou(a, a).numpy()
    np.testing.assert_array_equal(itself, boxes.area(a).numpy() > 0)


@given(CORNERS)
def test_formats_there_and_back(corners):
    given_ = ordered(corners)
    np.testing.assert_array_equal(boxes.from_xywh(boxes.to_xywh(given_)), given_)
    np.testing.assert_array_equal(boxes.from_centers(*boxes.to_centers(given_)), given_)
    there = boxes.to_relative(given_, 64, 77)
    np.testing.assert_allclose(boxes.from_relative(there, 64, 77), given_, rtol=1e-5, atol=1e-5)
