import keras
import numpy as np
import pytest

from conveyor.components.trainer import guard
from conveyor.models.model import Model


def make():
    keras.utils.set_random_seed(0)
    inputs = keras.Input([4], name="image")
    hidden = keras.layers.Dense(3, name="first")(inputs)
    scaled = keras.layers.Rescaling(1e20, name="scaled")(hidden)
    again = keras.layers.Rescaling(1e20, name="again")(scaled)
    model = Model(inputs, keras.layers.Dense(2, name="last")(again))
    model.compile("sgd", "mse")
    return model


def batch(value=1e-30):
    return np.full((2, 4), value, "float32"), np.ones((2, 2), "float32")


def test_first_layer_whose_output_is_no_number_is_named():
    assert guard.first_bad(make(), batch(1.0)) == "the output of layer 'again' is not finite"


def test_layer_whose_weights_are_no_numbers_is_named():
    model = make()
    model.get_layer("last").bias.assign([np.nan, 0])
    assert guard.first_bad(model, batch()) == "the weights of layer 'last' are not finite"


def test_input_that_is_no_number_is_named():
    assert guard.first_bad(make(), batch(np.nan)) == "the input is not finite"


def test_loss_that_is_no_number_is_told():
    images, _ = batch()
    assert guard.first_bad(make(), (images, np.full((2, 2), 1e30, "float32"))) == "the loss is inf"


def test_gradient_that_is_no_number_is_named():
    # loss near 0.5e38, and its gradient times 1e40 before it gets to the first layer
    images, targets = batch()
    found = guard.first_bad(make(), (images, np.full_like(targets, 1e18)))
    assert found == "the gradient of 'first/bias' is not finite"


@pytest.mark.parametrize("spoiled", [False, True])
def test_last_weights_that_are_numbers_are_kept(tmp_path, spoiled):
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[np.nan if spoiled else 7.0]], "float32")])
    told = guard.keep_good(model, 9, (6, [np.array([[3.0]], "float32")]), tmp_path)
    kept = keras.saving.load_model(tmp_path / "last_good.keras")
    assert kept.get_weights()[0].item() == (3.0 if spoiled else 7.0)
    assert f"after {6 if spoiled else 9} good steps" in told
    assert str(tmp_path / "last_good.keras") in told


@pytest.mark.parametrize(
    ("done", "place"), [(0, "step 1 of epoch 1"), (9, "step 10 of epoch 1"), (10, "step 1 of epoch 2")]
)
def test_error_counts_from_one(done, place):
    assert place in str(guard.diverged("the loss is nan", done, 10))
