import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import keras
import numpy as np
import tensorflow as tf
from hypothesis import given
from ways import random_boxes, run

from conveyor.models.ops.offsets import VARIANCES, decode, encode

PLACES = arrays.arrays(np.float32, (4, 2), elements=st.floats(0, 500, width=32))
SIDES = arrays.arrays(np.float32, (4, 2), elements=st.floats(8, 400, width=32))


def test_by_hand():
    anchor, box = (
        [[0.0, 0.0, 10.0, 20.0]],
        [[5.0, 10.0, 15.0, 50.0]],
    )  # centres (5, 10), (10, 30); sizes 10x20, 10x40
    np.testing.assert_allclose(encode(box, anchor), [[5.0, 10.0, 0.0, np.log(2) / 0.2]], rtol=1e-6)
    np.testing.assert_allclose(encode(box, anchor, (1, 1, 1, 1)), [[0.5, 1.0, 0.0, np.log(2)]], rtol=1e-6)
    np.testing.assert_allclose(decode([[5.0, 10.0, 0.0, np.log(2) / 0.2]], anchor), box, rtol=1e-5)


def test_as_in_keras(way):
    boxes, anchors = random_boxes(0, (3, 8)), random_boxes(1, (8,))
    formats = {"anchor_format": "xyxy", "box_format": "xyxy", "variance": VARIANCES}
    expected = keras.utils.bounding_boxes.encode_box_to_deltas(
        anchors, boxes, encoding_format="center_xywh", **formats
    )
    found = run(way, encode, boxes, anchors)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    back = keras.utils.bounding_boxes.decode_deltas_to_boxes(
        anchors, found, encoded_format="center_xywh", **formats
    )
    np.testing.assert_allclose(run(way, decode, found, anchors), back, rtol=1e-4, atol=1e-4)


def test_bfloat16_offsets_give_float32_boxes(way):
    anchors = np.float32([[600, 600, 632, 632]])
    found = run(way, decode, tf.zeros([1, 4], tf.bfloat16), anchors)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, anchors)


def test_padding_and_wild_offsets_stay_finite():
    anchors = np.float32([[0, 0, 8, 8]])
    assert np.isfinite(encode([[-1.0, -1.0, -1.0, -1.0]], anchors)).all()
    wild = decode([[0.0, 0.0, 1e4, 1e4]], anchors)
    np.testing.assert_allclose(wild, [[-246, -246, 254, 254]], rtol=1e-5)  # 62.5 times as wide


@given(PLACES, SIDES, PLACES, SIDES)
def test_there_and_back(low, size, anchor_low, anchor_size):
    boxes, anchors = (np.concatenate([a, a + b], 1) for a, b in ((low, size), (anchor_low, anchor_size)))
    np.testing.assert_allclose(decode(encode(boxes, anchors), anchors), boxes, rtol=1e-4, atol=2e-2)
