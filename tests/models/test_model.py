import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.model import NOT_FINITE, Model


def make(**options):
    keras.utils.set_random_seed(1)
    inputs = keras.Input([4])
    hidden = keras.layers.Dense(3, activation="relu")(inputs)
    model = Model(inputs, keras.layers.Dense(2)(hidden))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, **options), "mse")
    return model


def data(bad=None):
    images = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    if bad is not None:
        images[8, 1] = bad  # in the third batch of four
    return tf.data.Dataset.from_tensor_slices((images, np.ones((12, 2), "float32"))).batch(3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("eagerly", [False, True])
def test_weights_do_not_move_where_the_loss_is_no_number(bad, eagerly):
    model, wanted = make(), make()
    model.run_eagerly = wanted.run_eagerly = eagerly
    wanted.fit(data().take(2), verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=NOT_FINITE):
        model.fit(data(bad), verbose=0)
    for one, other in zip(model.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(model.optimizer.variables, wanted.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_do_not_move_where_only_a_gradient_is_no_number():
    model = make()
    before = model.get_weights()

    @tf.custom_gradient
    def loss(_, raw):
        return tf.reduce_mean(raw, axis=-1), lambda upstream: (None, tf.fill(tf.shape(raw), np.nan))

    model.compile("sgd", lambda target, raw: loss(target, raw))
    with pytest.raises(tf.errors.InvalidArgumentError, match=NOT_FINITE):
        model.fit(data(), verbose=0)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_large_gradients_are_numbers():
    model = make()
    images = np.random.default_rng(0).normal(0, 1e15, (3, 4)).astype("float32")
    model.compile(keras.optimizers.SGD(0.0), "mse")
    history = model.fit(images, np.zeros((3, 2), "float32"), verbose=0).history
    assert 1e20 < history["loss"][0] < np.inf


def test_a_weight_without_a_gradient_is_no_fault():
    inputs = keras.Input([2])
    used, unused = keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)
    model = Model(inputs, [used, unused])
    model.compile("sgd", ["mse", None])
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
