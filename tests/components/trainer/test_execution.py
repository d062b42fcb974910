import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.components.trainer.execution import Execution
from conveyor.models.model import Model

STEPS, EPOCHS = 7, 2


def make(per_call):
    """A model whose one weight becomes the sum of what it was fed."""
    inputs = keras.Input([1])
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = Model(inputs, dense(inputs))
    # the gradient of the mean of -kernel * x is -x
    model.compile(keras.optimizers.SGD(1.0), lambda _, raw: -raw, steps_per_execution=per_call)
    model.optimizer.build(model.trainable_variables)
    return model


def numbers(first=0):
    values = tf.range(first, STEPS * EPOCHS, dtype=tf.float32)
    pairs = tf.data.Dataset.from_tensor_slices((values[:, None, None], values[:, None, None]))
    return pairs.filter(lambda *_: True)  # of a number of batches that Keras cannot know


class Calls(keras.callbacks.Callback):
    def __init__(self, execution):
        super().__init__()
        self.execution, self.seen = execution, []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.execution.done)


@pytest.mark.parametrize("per_call", [1, 2, 3, 7])  # of 7 steps: one by one, with a rest, all at once
def test_calls_end_with_the_epoch(per_call):
    model, execution = make(per_call), Execution(STEPS)
    calls = Calls(execution)
    model.fit(
        numbers(),
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        callbacks=[execution, calls],
        verbose=0,
        shuffle=False,
    )
    assert calls.seen == [7, 14]
    assert model.get_weights()[0].item() == sum(range(14))
    assert 0 <= execution.waited < 60


@pytest.mark.parametrize("done", [3, 6, 9])
def test_steps_that_are_done_are_left_out(done):
    model, execution = make(3), Execution(STEPS, done)
    model.fit(
        numbers(done),
        epochs=EPOCHS,
        initial_epoch=done // STEPS,
        steps_per_epoch=STEPS,
        callbacks=[execution],
        verbose=0,
        shuffle=False,
    )
    assert execution.done == 14
    assert model.get_weights()[0].item() == sum(range(done, 14))


@pytest.mark.parametrize("per_call", [1, 4])
def test_steps_are_those_of_keras(per_call):
    random = np.random.default_rng(0)
    images, targets = random.normal(size=(28, 3)).astype("float32"), random.normal(size=(28, 1))

    def train(kind, callbacks):
        keras.utils.set_random_seed(0)
        inputs = keras.Input([3])
        hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(inputs))
        model = kind(inputs, keras.layers.Dense(1)(hidden))
        model.compile("adam", "mse", metrics=["mae"], steps_per_execution=per_call)
        model.optimizer.build(model.trainable_variables)
        model.evaluate(images, targets, verbose=0)  # builds the metrics
        batches = tf.data.Dataset.from_tensor_slices((images, targets)).batch(2)
        history = model.fit(
            batches.repeat(), epochs=2, steps_per_epoch=12, callbacks=callbacks, verbose=0, shuffle=False
        )
        return model.get_weights(), history.history

    weights, history = train(Model, [Execution(12)])
    wanted, told = train(keras.Model, [])
    for one, other in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    for name, values in told.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)


def test_good_weights_are_those_of_the_last_call_that_left_numbers():
    model, execution = make(2), Execution(STEPS)
    pairs = numbers().map(lambda x, y: (tf.where(x == 3.0, np.inf, x), y))
    with pytest.raises((tf.errors.InvalidArgumentError, FloatingPointError)):
        model.fit(pairs, epochs=1, steps_per_epoch=STEPS, callbacks=[execution], verbose=0, shuffle=False)
    done, (weights,) = execution.good
    assert (done, weights.item()) == (2, 1.0)
    assert execution.done == 3  # the step before the bad one was done
    assert model.get_weights()[0].item() == 3.0


def test_loss_that_is_no_number_is_noticed_without_assertions(monkeypatch):
    monkeypatch.setattr(Model, "train_step", keras.Model.train_step)  # as under XLA
    model, execution = make(2), Execution(STEPS)
    pairs = numbers().map(lambda x, y: (tf.where(x == 3.0, np.nan, x), y))
    with pytest.raises(FloatingPointError):
        model.fit(pairs, epochs=1, steps_per_epoch=STEPS, callbacks=[execution], verbose=0, shuffle=False)
    assert execution.good[0] == 2
