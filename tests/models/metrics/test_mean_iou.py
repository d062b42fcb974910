"""Mean IoU of training against Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.metrics.mean_iou import MeanIoU

VOID = 255


def of_keras(classes):
    return keras.metrics.MeanIoU(classes, ignore_class=VOID, sparse_y_pred=False)


def batches(classes, levels, count=3):
    """Masks, a tenth of them void, and logits of few values, so that many are equal."""
    rng = np.random.default_rng(classes)
    for _ in range(count):
        mask = rng.integers(0, classes, (2, 7, 5, 1)).astype(np.uint8)
        mask[rng.uniform(size=mask.shape) < 0.1] = VOID
        yield mask, rng.integers(0, levels, (2, 7, 5, classes)).astype(np.float32)


def test_by_hand():
    """Truth 0 0 1 and void, told 0 1 1 0: IoU 1/2 of each class."""
    metric = MeanIoU(2)
    metric.update_state(
        np.uint8([[[[0], [0]], [[1], [VOID]]]]), np.float32([[[[2, 1], [1, 2]], [[0, 5], [3, 0]]]])
    )
    np.testing.assert_array_equal(metric.total_cm, [[1, 1], [0, 1]])
    assert float(metric.result()) == pytest.approx(0.5)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(("classes", "levels"), [(2, 2), (2, 1), (11, 4)])
def test_counts_are_those_of_keras(classes, levels, jit):
    ours, theirs = MeanIoU(classes), of_keras(classes)
    update = tf.function(ours.update_state, jit_compile=jit)
    for mask, logits in batches(classes, levels):
        update(mask, logits)
        theirs.update_state(mask, logits)
    np.testing.assert_array_equal(ours.total_cm, theirs.total_cm)
    assert float(ours.result()) == float(theirs.result())


def test_weights_of_pixels_are_those_of_keras():
    ours, theirs = MeanIoU(3), of_keras(3)
    for mask, logits in batches(3, 9):
        weights = np.random.default_rng(0).uniform(size=mask.shape[:3]).astype(np.float32)
        ours.update_state(mask, logits, weights)
        theirs.update_state(mask, logits, weights)
    np.testing.assert_allclose(ours.total_cm, theirs.total_cm, rtol=1e-6)


def test_config_round_trip():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(MeanIoU(4)))
    assert (again.num_classes, again.name, again.ignore_class) == (4, "mean_iou", VOID)
