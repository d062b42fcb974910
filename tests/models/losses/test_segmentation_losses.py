"""Losses of pixels, by hand and by scikit-learn."""

import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from conveyor.models.losses.segmentation import (
    PixelCrossentropy,
    RegionLoss,
    SumOfLosses,
    median_frequency,
)

VOID = 255


def of(loss, mask, probabilities):
    """The loss of one image, from probabilities [height, width, classes]."""
    logits = np.log(np.maximum(np.asarray(probabilities, np.float32), 1e-30))
    return float(loss(np.asarray(mask, np.uint8)[None, ..., None], logits[None]))


# Three pixels and void; the class of the first two is 0, of the third 1.
MASK = [[0, 0], [1, VOID]]
TOLD = [[[0.5, 0.5], [0.8, 0.2]], [[0.75, 0.25], [0.01, 0.99]]]


def test_crossentropy_by_hand():
    """(ln 2 + ln 1.25 + ln 4) / 3."""
    assert of(PixelCrossentropy(), MASK, TOLD) == pytest.approx(np.log(2 * 1.25 * 4) / 3, rel=1e-5)


def test_class_weights_by_hand():
    """Class 0 counts 0.5, class 1 three: (0.5 ln 2 + 0.5 ln 1.25 + 3 ln 4) / 3."""
    loss = PixelCrossentropy(class_weights=[0.5, 3.0])
    expected = (0.5 * np.log(2) + 0.5 * np.log(1.25) + 3 * np.log(4)) / 3
    assert of(loss, MASK, TOLD) == pytest.approx(expected, rel=1e-5)


def test_focal_by_hand():
    """gamma 2: (0.25 ln 2 + 0.04 ln 1.25 + 0.5625 ln 4) / 3."""
    expected = (0.25 * np.log(2) + 0.04 * np.log(1.25) + 0.5625 * np.log(4)) / 3
    assert of(PixelCrossentropy(gamma=2.0), MASK, TOLD) == pytest.approx(expected, rel=1e-5)


def test_dice_by_hand():
    """Class 0: hits 1.3, told 2.05, true 2; class 1: hits 0.25, told 0.95, true 1. With 1 above and below
    of hits and half of what is wrong and missed: 1 - 2.3 / 3.025 and 1 - 1.25 / 1.975."""
    expected = 1 - (2.3 / 3.025 + 1.25 / 1.975) / 2
    assert of(RegionLoss(), MASK, TOLD) == pytest.approx(expected, rel=1e-5)


def test_tversky_by_hand():
    """alpha 0.2. Class 0: wrong 0.75, missed 0.7; class 1: wrong 0.7, missed 0.75."""
    expected = 1 - (2.3 / (2.3 + 0.15 + 0.56) + 1.25 / (1.25 + 0.14 + 0.6)) / 2
    assert of(RegionLoss(alpha=0.2), MASK, TOLD) == pytest.approx(expected, rel=1e-5)


def test_classes_that_an_image_lacks_play_no_part_in_dice():
    only = [[0, 0], [0, VOID]]  # class 0: hits 2.05, told 2.05, true 3
    assert of(RegionLoss(), only, TOLD) == pytest.approx(1 - 3.05 / (2.05 + 0.5 * 0.95 + 1), rel=1e-5)


LOSSES = {
    "crossentropy": PixelCrossentropy(class_weights=[1.0, 2.0, 0.5], label_smoothing=0.1),
    "focal": PixelCrossentropy(gamma=1.5),
    "dice": RegionLoss(),
    "tversky": RegionLoss(0.3),
}
LOSSES["sum"] = SumOfLosses([LOSSES["crossentropy"], LOSSES["dice"]])


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


def random(seed=0, shape=(2, 5, 4), classes=3):
    generator = np.random.default_rng(seed)
    mask = generator.integers(0, classes, (*shape, 1)).astype(np.uint8)
    mask[:, 1, 1:3] = VOID
    return mask, generator.normal(size=(*shape, classes)).astype(np.float32) * 3


def test_what_is_told_of_void_changes_nothing(loss):
    mask, logits = random()
    other = logits.copy()
    other[:, 1, 1:3] = 40 * np.random.default_rng(1).normal(size=(2, 2, 3))
    assert float(loss(mask, logits)) == float(loss(mask, other))


def test_an_image_of_nothing_but_void_has_no_loss_and_no_gradient(loss):
    mask, logits = random()
    mask[1] = VOID
    values = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = loss(mask, values)
    slope = tape.gradient(value, values).numpy()
    alone = float(loss(mask[:1], logits[:1]))
    assert float(value) == pytest.approx(alone / 2, rel=1e-5)
    assert np.isfinite(slope).all()
    assert (slope[1] == 0).all()
    assert slope[0].any()


def test_gradient_equals_finite_differences(loss):
    mask, logits = random()
    values = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = loss(mask, values)
    slope = tape.gradient(value, values).numpy()
    direction = np.random.default_rng(5).normal(size=logits.shape).astype(np.float32)
    high, low = (float(loss(mask, logits + sign * 1e-2 * direction)) for sign in (1, -1))
    assert (high - low) / 2e-2 == pytest.approx(float((slope * direction).sum()), rel=1e-2, abs=1e-4)


def test_right_answers_cost_least(loss):
    mask, logits = random()
    right = np.eye(3, dtype=np.float32)[np.where(mask[..., 0] == VOID, 0, mask[..., 0])] * 12
    assert float(loss(mask, right)) < float(loss(mask, logits)) < float(loss(mask, -right))


def test_config_round_trip(loss):
    mask, logits = random()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(mask, logits)) == float(loss(mask, logits))


def test_crossentropy_equals_scikit_learn():
    mask, logits = random(shape=(1, 9, 8))
    known = mask[..., 0] != VOID
    told = tf.nn.softmax(logits).numpy().astype(np.float64)[known]
    expected = sklearn.metrics.log_loss(mask[..., 0][known], told, labels=[0, 1, 2])
    assert float(PixelCrossentropy()(mask, logits)) == pytest.approx(expected, rel=1e-5)


def test_median_frequency_by_hand():
    """Class 0: 90 of 120 pixels, in both images; 1: 10 of 20; 2: 20 of 100; 3: none. The median is 0.5."""
    pixels = [[10, 10, 0, 0], [80, 0, 20, 0]]
    assert median_frequency(pixels) == pytest.approx([0.5 / 0.75, 1.0, 0.5 / 0.2, 0.0])
