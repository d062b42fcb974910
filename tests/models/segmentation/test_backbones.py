"""Segmentation on backbones that were trained before."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.unet.unet import UNet


@pytest.mark.slow
def test_a_backbone_that_was_trained_before_learns_as_its_settings_say(tmp_path):
    backbone = {
        "family": "pretrained",
        "backbone": {"application": "mobilenet", "weights": "none"},
        "frozen_epochs": 2,
    }
    model = UNet((33, 35, 3), 4, [3, 4, 5, 6], backbone=backbone)
    assert model.frozen_epochs == 2
    images = np.random.default_rng(0).random((2, 33, 35, 3), dtype=np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(images, training=True) ** 2)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    idle = [
        w.path for w, g in zip(model.trainable_weights, gradients, strict=True) if not tf.reduce_any(g != 0)
    ]
    assert idle == []
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    answer = model(images)
    assert answer.shape == (2, 33, 35, 4)
    np.testing.assert_array_equal(again(images), answer)
