import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.detection.losses import hardest, overlap_loss, sigmoid_focal, smooth_l1


def test_smooth_l1_by_hand():
    # 0.5 * 0.5^2 + (3 - 0.5) + 0 + 0.5 * 1^2 = 0.125 + 2.5 + 0.5; squares up to 1, then sizes less a half
    found = smooth_l1(tf.constant([[0.5, -3.0, 2.0, 1.0]]), tf.constant([[0.0, 0.0, 2.0, 0.0]]))
    np.testing.assert_allclose(found, [3.125])


def test_overlap_loss_by_hand():
    a, b = tf.constant([[0.0, 0, 10, 10]]), tf.constant([[5.0, 0, 15, 10]])
    # IoU 50 / 150; the hull has 150 px^2, all of it filled; centres 5 apart, its diagonal^2 15^2 + 10^2
    np.testing.assert_allclose(overlap_loss(a, b, "giou"), [1 - 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(overlap_loss(a, b, "diou"), [1 - 1 / 3 + 25 / 325], rtol=1e-6)


def test_focal_loss_is_that_of_keras():
    random = np.random.default_rng(0)
    logits, targets = random.normal(0, 2, (6, 4)).astype("f"), random.integers(0, 2, (6, 4)).astype("f")
    theirs = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.25, gamma=2.0, from_logits=True, reduction=None
    )(targets, logits)
    np.testing.assert_allclose(
        tf.reduce_mean(sigmoid_focal(logits, targets, 2.0, 0.25), -1), theirs, rtol=1e-4
    )


def test_quality_focal_loss_by_hand_is_least_at_the_quality():
    # p = sigmoid(0) = 0.5, asked 0.8: 0.3^2 * ln 2, as the cross-entropy with 0.5 is ln 2 for any target
    found = sigmoid_focal(tf.zeros([1]), tf.constant([0.8]), 2.0, None)
    np.testing.assert_allclose(found, [0.09 * math.log(2)], rtol=1e-5)
    logit = math.log(0.8 / 0.2)
    assert sigmoid_focal(tf.constant([logit]), tf.constant([0.8]), 2.0, None).numpy() < 1e-6


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_slope_is_a_number_where_the_target_is_reached(gamma):
    logits = tf.constant([60.0, -60.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = sigmoid_focal(logits, tf.constant([1.0, 0.0, 0.5]), gamma, None)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_hardest_of_each_image():
    loss = tf.constant([[0.1, 0.9, 0.5, 0.7], [0.3, 0.3, 0.3, 0.3], [9.0, 1.0, 2.0, 3.0]])
    allowed = tf.constant([[True, False, True, True], [True] * 4, [True, False, False, False]])
    chosen = hardest(loss, allowed, tf.constant([2, 1, 3]))
    expected = [[0, 0, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0]]  # of equal ones the first; fewer where fewer can be
    np.testing.assert_array_equal(chosen, np.array(expected, bool))
