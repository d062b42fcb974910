import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.losses.focal import FocalCrossentropy

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(6, 4)).astype(np.float32)
TARGETS = RANDOM.dirichlet(np.ones(4), size=6).astype(np.float32)


def gradient(loss, target, logits):
    logits = tf.constant([logits], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(tf.constant([target], tf.float32), logits)
    return tape.gradient(value, logits).numpy()[0]


def test_worked_by_hand():
    # probabilities 1/4 and 3/4: (3/4)^2 * log 4
    loss = FocalCrossentropy(gamma=2.0)(np.float32([[1, 0]]), np.log(np.float32([[1, 3]])))
    assert float(loss) == pytest.approx(9 / 16 * np.log(4), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_without_focus_it_is_cross_entropy(smoothing):
    oracle = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    found = FocalCrossentropy(gamma=0.0, label_smoothing=smoothing)(TARGETS, LOGITS)
    assert float(found) == pytest.approx(float(oracle(TARGETS, LOGITS)), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_it_is_that_of_keras_where_that_clips_nothing(gamma, smoothing):
    oracle = keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=gamma, from_logits=True, label_smoothing=smoothing
    )
    found = FocalCrossentropy(gamma=gamma, label_smoothing=smoothing)(TARGETS, LOGITS)
    assert float(found) == pytest.approx(float(oracle(TARGETS, LOGITS)), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("logit", [20.0, 50.0, 100.0, 1000.0])
def test_gradient_is_there_for_the_very_wrong_and_a_number_for_the_very_right(gamma, logit):
    loss = FocalCrossentropy(gamma=gamma)
    np.testing.assert_allclose(gradient(loss, [0, 1, 0], [logit, 0, 0]), [1, -1, 0], atol=1e-5)
    np.testing.assert_allclose(gradient(loss, [1, 0, 0], [logit, 0, 0]), [0, 0, 0], atol=1e-5)


def test_weights_of_examples_count():
    loss = FocalCrossentropy()
    each = [float(loss(TARGETS[row : row + 1], LOGITS[row : row + 1])) for row in range(6)]
    found = loss(TARGETS, LOGITS, sample_weight=np.float32([1, 0, 0, 2, 0, 0]))
    assert float(found) == pytest.approx((each[0] + 2 * each[3]) / 6, rel=1e-5)


def test_it_is_saved_with_its_settings():
    loss = FocalCrossentropy(gamma=1.5, label_smoothing=0.1)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, FocalCrossentropy)
    assert float(again(TARGETS, LOGITS)) == float(loss(TARGETS, LOGITS))
