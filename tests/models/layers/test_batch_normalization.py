"""Batch normalisation by one operation is Keras's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.layers.batch_normalization import BatchNormalization

RANDOM = np.random.default_rng(0)


def pair(shape, **arguments):
    """Keras's layer and ours, with the same weights."""
    layers = [
        made(momentum=0.9, **arguments) for made in (keras.layers.BatchNormalization, BatchNormalization)
    ]
    for layer in layers:
        layer.build(shape)
    channels = shape[-1]
    start = [RANDOM.normal(1, 0.3, channels) for _ in layers[0].weights[:-1]] + [
        RANDOM.uniform(1, 2, channels)
    ]
    for layer in layers:
        layer.set_weights(start)
    return layers


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("arguments", [{}, {"scale": False}, {"center": False}, {"epsilon": 0.01}])
@pytest.mark.parametrize("shape", [(4, 5, 3, 6), (1, 2, 2, 1), (3, 7, 5), (5, 4)])
def test_answers_and_slopes_are_those_of_keras(shape, arguments, training):
    theirs, ours = pair(shape, **arguments)
    inputs = tf.constant(RANDOM.normal(2, 3, shape), tf.float32)
    weights = tf.constant(RANDOM.normal(size=shape), tf.float32)
    found = []
    for layer in (theirs, ours):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=training)
            loss = tf.reduce_sum(weights * outputs)
        sources = [inputs, *(weight.value for weight in layer.trainable_weights)]
        found.append([outputs, *tape.gradient(loss, sources), *layer.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_prediction_by_hand():
    layer = BatchNormalization(epsilon=1.0)
    layer.build((None, 1, 2, 1))
    layer.set_weights(np.float32([[3], [0.5], [2], [8]]))  # scale, offset, mean, variance
    found = layer(np.array([5.0, -1.0], np.float32).reshape(1, 1, 2, 1))
    # 3 (5 - 2) / sqrt(8 + 1) + 0.5 = 3.5 and 3 (-1 - 2) / 3 + 0.5 = -2.5
    np.testing.assert_allclose(np.ravel(found), [3.5, -2.5], rtol=1e-6)


def operations(layer):
    called = tf.function(lambda images: layer(images, training=False))
    graph = called.get_concrete_function(tf.TensorSpec([None, 4, 4, 6])).graph
    return {operation.type for operation in graph.get_operations()}


def test_predictions_take_one_operation_but_on_gpus(monkeypatch):
    """Its gradient is not deterministic there, and TensorFlow refuses it where all must be."""
    theirs, ours = pair((None, 4, 4, 6))
    assert "FusedBatchNormV3" in operations(ours)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"] if kind == "GPU" else [])
    assert operations(ours) == operations(theirs)
    assert "FusedBatchNormV3" not in operations(ours)


def test_moving_statistics_by_hand():
    layer = BatchNormalization(momentum=0.75)
    images = np.array([1.0, 3.0, 5.0, 7.0], np.float32).reshape(1, 2, 2, 1)
    layer(images, training=True)
    # mean 4; variance (9 + 1 + 1 + 9) / 4 = 5: 0.75 * 0 + 0.25 * 4 and 0.75 * 1 + 0.25 * 5
    np.testing.assert_allclose(layer.moving_mean, [1.0])
    np.testing.assert_allclose(layer.moving_variance, [2.0])


def test_half_precision_keeps_its_statistics_exact():
    layer = BatchNormalization(momentum=0.0, dtype="mixed_bfloat16")
    images = RANDOM.normal(300, 1, (8, 4, 4, 2)).astype(np.float32)
    outputs = layer(images, training=True)
    rounded = tf.cast(tf.cast(images, tf.bfloat16), tf.float32)
    assert outputs.dtype == tf.bfloat16
    assert layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(layer.moving_mean, np.mean(rounded, (0, 1, 2)), rtol=1e-4)


def test_half_precision_predicts_what_keras_does():
    theirs, ours = pair((4, 5, 3, 6), dtype="mixed_bfloat16")
    images = RANDOM.normal(2, 3, (4, 5, 3, 6)).astype(np.float32)
    assert ours(images).dtype == tf.bfloat16
    found, wanted = (tf.cast(layer(images), tf.float32) for layer in (ours, theirs))
    np.testing.assert_allclose(found, wanted, rtol=2**-7, atol=2**-7)


def test_frozen_layers_predict_in_training():
    layer = BatchNormalization()
    images = RANDOM.normal(2, 3, (4, 3, 3, 2)).astype(np.float32)
    layer.build(images.shape)
    layer.trainable = False
    np.testing.assert_array_equal(layer(images, training=True), layer(images, training=False))
    np.testing.assert_allclose(layer.moving_mean, [0, 0])


@pytest.mark.parametrize("training", [True, False])
def test_compiled_by_xla_it_is_the_same(training):
    theirs, ours = pair((4, 5, 3, 6))
    inputs = tf.constant(RANDOM.normal(2, 3, (4, 5, 3, 6)), tf.float32)
    found = tf.function(lambda: ours(inputs, training=training), jit_compile=True)()
    np.testing.assert_allclose(found, theirs(inputs, training=training), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=1e-4)


def test_a_saved_layer_is_ours_again():
    layer = BatchNormalization(momentum=0.9, epsilon=0.01)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is BatchNormalization
    assert (again.momentum, again.epsilon) == (0.9, 0.01)
