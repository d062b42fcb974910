"""Between the stages: which regions are looked at, and what is seen there."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.faster_rcnn.regions import Proposals, RegionFeatures

FINE = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [28, 28, 44, 44]], np.float32)
COARSE = np.array([[0, 0, 10, 10], [-30, -30, -20, -20]], np.float32)


def propose(logits, offsets=None, **changed):
    limits = {"before": 4, "most": 6, "iou": 0.7, **changed}
    layer = Proposals([FINE, COARSE], (40, 40), **limits)
    given = np.zeros((1, 6, 4), np.float32) if offsets is None else offsets
    return layer(tf.constant([logits]), tf.constant(given)).numpy()[0].tolist()


def test_best_first_cut_to_the_image_and_without_what_is_said_again():
    """The second overlaps the first by 90 / 110 = 0.82; the last lies outside of the image."""
    found = propose([1.0, 2.0, 0.0, 3.0, 0.5, 9.0])
    padding = [-1] * 4
    # the coarse level's box does not compete with the fine one's
    assert found == [[28, 28, 40, 40], [1, 0, 11, 10], [0, 0, 10, 10], [20, 20, 30, 30], padding, padding]
    assert propose([1.0, 2.0, 0.0, 3.0, 0.5, 9.0], iou=0.9)[1:4] == [
        [1, 0, 11, 10],
        [0, 0, 10, 10],
        [0, 0, 10, 10],
    ]


def test_only_the_best_of_each_level_are_looked_at():
    assert propose([1.0, 0.0, 5.0, 3.0, -8.0, 9.0], before=1) == [[20, 20, 30, 30]] + [[-1] * 4] * 5


def test_offsets_move_boxes():
    offsets = np.zeros((1, 6, 4), np.float32)
    offsets[0, 2] = [0.5, 0.0, np.log(2), 0.0]  # half a width to the right, twice as wide
    assert propose([0.0, 0.0, 9.0, 0.0, 0.0, 0.0], offsets)[0] == pytest.approx([20, 20, 40, 30])


def test_no_gradient_goes_through():
    layer = Proposals([FINE, COARSE], (40, 40), 4, 6, 0.7)
    logits, offsets = tf.Variable(tf.zeros([1, 6])), tf.Variable(tf.zeros([1, 6, 4]))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(logits, offsets))
    assert tape.gradient(total, [logits, offsets]) == [None, None]


def maps():
    return [tf.fill([1, 64, 64, 2], 1.0), tf.fill([1, 32, 32, 2], 2.0), tf.fill([1, 16, 16, 2], 3.0)]


@pytest.mark.parametrize("pooling", ["align", "pool"])
def test_regions_are_seen_on_the_level_that_suits_them(pooling):
    """224 pixels a side suit level 4, and each half of that the level before; levels are 2, 3 and 4."""
    boxes = tf.constant([[[0.0, 0, 56, 56], [0, 0, 112, 112], [0, 0, 224, 224], [8, 8, 16, 16]]])
    found = RegionFeatures([2, 3, 4], 3, pooling)(maps(), boxes)
    assert found.shape == (1, 4, 3, 3, 2)
    assert found.numpy()[0, :, 1, 1, 0].tolist() == [1, 2, 3, 1]


def test_boxes_stay_float32_where_features_are_not():
    layer = RegionFeatures([2], 1, "align", dtype="mixed_bfloat16")
    ramp = tf.tile(tf.reshape(tf.range(128.0), [1, 1, 128, 1]), [1, 4, 1, 1])  # map of stride 4
    found = layer([tf.cast(ramp, tf.bfloat16)], tf.constant([[[401.0, 0.0, 405.0, 16.0]]]))
    assert found.dtype == tf.bfloat16
    # from 100.25 to 101.25 on the map, whose pixels have their centres at 0.5: 100.25 on average
    np.testing.assert_allclose(np.float32(found).item(), 100.25, atol=0.5 / 2)  # what bfloat16 tells apart


def test_shapes_in_a_graph_are_what_they_become():
    boxes = keras.Input((7, 4))
    features = [keras.Input((64, 64, 2)), keras.Input((32, 32, 2))]
    assert RegionFeatures([2, 3], 5, "align")(features, boxes).shape == (None, 7, 5, 5, 2)
    found = Proposals([FINE, COARSE], (40, 40), 4, 6, 0.7)(keras.Input((6,)), keras.Input((6, 4)))
    assert found.shape == (None, 6, 4)
