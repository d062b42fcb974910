import itertools

import keras
import numpy as np
import pytest

from conveyor.components.trainer.fit import make_optimizer
from conveyor.components.trainer.settings import FitSettings
from conveyor.models.cnn.cnn import CNN

NAMES = ["sgd", "adam", "adamw"]


def make(steps=100, schedule="constant", **optimizer):
    return make_optimizer(FitSettings(optimizer=optimizer, schedule=schedule), steps)


def make_model():
    """With kernels, biases (of dense layers), gammas and betas, all different from 0."""
    model = CNN((8, 8, 1), 3, filters=[2], batch_norm=True, dense=4)
    random = np.random.default_rng(0)
    for weights in model.trainable_weights:
        weights.assign(random.uniform(0.5, 1.5, weights.shape))
    return model


def step(optimizer, variables, gradient):
    optimizer.apply([gradient * np.ones(v.shape, np.float32) for v in variables], variables)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("decay", [0.0, 0.25])
def test_decay_shrinks_kernels_and_nothing_else(name, decay):
    model = make_model()
    before = {v.path: v.numpy() for v in model.trainable_weights}
    step(make(name=name, learning_rate=0.1, weight_decay=decay), model.trainable_weights, 0.0)
    after = {v.path: v.numpy() for v in model.trainable_weights}
    assert {path.rpartition("/")[2] for path in before} == {"kernel", "bias", "gamma", "beta"}
    for path, old in before.items():
        factor = 1 - 0.1 * decay if path.endswith("kernel") else 1.0
        np.testing.assert_allclose(after[path], factor * old, rtol=1e-6, err_msg=path)


def test_adamw_is_that_of_keras():
    ours, theirs = make_model(), make_model()
    oracle = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    oracle.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer = make(name="adamw", learning_rate=0.01, weight_decay=0.1)
    for gradient in (0.5, -2.0, 0.125):
        step(optimizer, ours.trainable_weights, gradient)
        step(oracle, theirs.trainable_weights, gradient)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_sgd_with_momentum_worked_by_hand():
    variable = keras.Variable([1.0], name="kernel")
    optimizer = make(name="sgd", learning_rate=0.1, momentum=0.5)
    step(optimizer, [variable], 1.0)  # velocity -0.1
    assert variable.numpy() == pytest.approx([0.9])
    step(optimizer, [variable], 1.0)  # velocity -0.1 * 0.5 - 0.1
    assert variable.numpy() == pytest.approx([0.75])


def test_cosine_falls_from_the_rate_to_zero_over_all_steps():
    schedule = make(steps=40, schedule="cosine", learning_rate=0.2)._learning_rate
    rates = [float(schedule(step)) for step in range(41)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[20] == pytest.approx(0.1)
    assert rates[40] == pytest.approx(0.0, abs=1e-9)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates))


def test_decay_follows_the_schedule():
    variable = keras.Variable([1.0], name="kernel")
    optimizer = make(steps=2, schedule="cosine", name="adam", learning_rate=0.2, weight_decay=0.5)
    step(optimizer, [variable], 0.0)  # rate 0.2
    assert variable.numpy() == pytest.approx([0.9])
    step(optimizer, [variable], 0.0)  # rate 0.1
    assert variable.numpy() == pytest.approx([0.9 * 0.95])
