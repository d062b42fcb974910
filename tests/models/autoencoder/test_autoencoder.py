import keras
import numpy as np
import pydantic
import pytest

from conveyor.models.autoencoder.autoencoder import Autoencoder
from conveyor.models.autoencoder.sampling import Sampling
from conveyor.models.autoencoder.settings import AutoencoderSettings


@pytest.mark.parametrize("side", range(8, 17))
def test_any_size_comes_back(side):
    model = Autoencoder((side, 19, 2), filters=[2, 3, 2])
    assert model.output["reconstruction"].shape == (None, side, 19, 2)


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ({}, 4 * 5 * 6),
        ({"code_channels": 2}, 4 * 5 * 2),
        ({"code": 7}, 7),
        ({"code": 7, "variational": True}, 7),
    ],
)
def test_code_is_a_vector_of_the_asked_size(arguments, numbers):
    model = Autoencoder((15, 17, 1), filters=[4, 6], **arguments)
    assert model.output["code"].shape == (None, numbers)
    assert model.backbone().output_shape == (None, 4, 5, 6)


def test_all_that_is_reconstructed_goes_through_the_code():
    """Images with the same code have the same reconstruction."""
    model = Autoencoder((8, 8, 1), filters=[3], code=2)
    model.get_layer("project").set_weights([np.zeros((4 * 4 * 3, 2)), np.ones(2)])
    images = np.random.default_rng(1).random((2, 8, 8, 1), dtype=np.float32)
    first, second = model(images)["reconstruction"].numpy()
    np.testing.assert_array_equal(first, second)


def test_learns_to_reconstruct():
    keras.utils.set_random_seed(1)
    images = (np.random.default_rng(0).random((32, 8, 8, 1)) > 0.5).astype(np.float32)
    model = Autoencoder((8, 8, 1), filters=[16])
    model.compile(keras.optimizers.Adam(0.02), loss={"reconstruction": "binary_crossentropy"})
    losses = [model.train_on_batch(images, {"reconstruction": images}) for _ in range(60)]
    assert losses[0] > 0.6
    assert losses[-1] < 0.2


@pytest.mark.parametrize("side", [3, 7])
def test_image_smaller_than_the_code_is_an_error(side):
    with pytest.raises(ValueError, match="at least 8 pixels a side"):
        Autoencoder((20, side, 1), filters=[2, 2, 2])


@pytest.mark.parametrize(
    "values", [{"code": 4, "code_channels": 4}, {"filters": []}, {"beta": -1.0}, {"activation": "sigmoid"}]
)
def test_settings_that_make_no_network_are_refused(values):
    with pytest.raises(pydantic.ValidationError):
        AutoencoderSettings(family="autoencoder", **values)


# === variational ===


def test_divergence_is_that_of_the_closed_form():
    """Against a numerical integral of KL(N(m, s^2) || N(0, 1)) , summed over the code."""
    mean, log_variance = np.array([[0.5, -1.0], [0.0, 2.0]]), np.array([[0.0, -1.0], [0.3, 0.1]])
    grid = np.linspace(-15, 15, 30_001)[:, None, None]
    inside = -((grid - mean) ** 2) / (2 * np.exp(log_variance)) - log_variance / 2
    density = np.exp(inside) / np.sqrt(2 * np.pi)
    divergence = (density * (inside + grid**2 / 2)).sum(axis=0) * (grid[1, 0, 0] - grid[0, 0, 0])
    layer = Sampling(weight=0.25)
    layer([mean.astype(np.float32), log_variance.astype(np.float32)], training=True)
    assert float(layer.losses[0]) == pytest.approx(0.25 * divergence.sum(axis=1).mean(), rel=1e-4)


def test_draws_have_the_told_mean_and_variance_and_differ():
    layer = Sampling(seed=3)
    mean, log_variance = np.full((20_000, 1), 2.0, np.float32), np.full((20_000, 1), np.log(9.0), np.float32)
    first, second = (layer([mean, log_variance], training=True).numpy() for _ in range(2))
    assert (first.mean(), first.std()) == (pytest.approx(2.0, abs=0.1), pytest.approx(3.0, abs=0.1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, Sampling(seed=3)([mean, log_variance], training=True))
    np.testing.assert_array_equal(layer([mean, log_variance], training=False), mean)


def test_loss_is_the_bound_per_pixel():
    model = Autoencoder((8, 8, 1), filters=[2], code=3, variational=True, beta=2.0)
    zero = [np.zeros((4 * 4 * 2, 3)), np.zeros(3)]
    model.get_layer("mean").set_weights([zero[0], np.ones(3)])
    model.get_layer("log_variance").set_weights(zero)
    model(np.zeros((5, 8, 8, 1), np.float32), training=True)
    # each of 3 numbers has mean 1 and variance 1: divergence 1/2; 64 pixels
    assert float(sum(model.losses)) == pytest.approx(2.0 * 3 * 0.5 / 64)
