import keras
import numpy as np
import pydantic
import pytest

from conveyor.models.build import build_model
from conveyor.models.cnn.cnn import CNN
from conveyor.models.spatial_transformer.settings import SpatialTransformerSettings
from conveyor.models.spatial_transformer.spatial_transformer import SpatialTransformer

SHAPE = (14, 12, 2)
PLAIN = {"family": "cnn", "filters": [4, 6], "dense": 8}


def make(**arguments):
    arguments = {"localization_filters": [3], "localization_dense": 4, **arguments}
    return SpatialTransformer(arguments.pop("shape", SHAPE), 3, PLAIN, **arguments)


def images(count=4, shape=SHAPE):
    return np.random.default_rng(4).normal(size=(count, *shape)).astype(np.float32)


@pytest.mark.parametrize("before", ["", "conv_1_1", "pool_1", "conv_2_1", "flatten"])
@pytest.mark.parametrize("transform", ["affine", "projective", "thin_plate_spline"])
def test_untrained_it_is_its_classifier_wherever_the_transformer_is(transform, before):
    model, plain = make(transform=transform, before=before), CNN(SHAPE, 3, filters=[4, 6], dense=8)
    for layer in plain.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    np.testing.assert_allclose(model(images()), plain(images()), atol=1e-4)


@pytest.mark.parametrize(("before", "sees"), [("", (14, 12, 2)), ("conv_2_1", (7, 6, 4))])
def test_the_named_layer_gets_what_is_shown(before, sees):
    model = make(before=before)
    assert model.get_layer("sampler").output.shape[1:] == sees
    assert model.get_layer(before or "conv_1_1").input is model.get_layer("sampler").output


def test_size_is_that_of_what_is_shown():
    model = make(size=[8, 9])
    assert model.get_layer("conv_1_1").output.shape == (None, 8, 9, 4)
    assert model(images()).shape == (4, 3)


def test_the_classifier_sees_the_transformed_image():
    """By a half turn, whose grid is that of the image in reverse."""
    model = make()
    last = model.get_layer("localization").stack[-1]
    last.bias.assign([-1, 0, 0, 0, -1, 0])
    turned = model(images()[:, ::-1, ::-1]).numpy()
    last.bias.assign([1, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(turned, model(images()), atol=1e-4)


def test_learning_rates_differ_by_part():
    model = make(localization_rate=0.1)
    factors = {weight.path: model.learning_rate_factor(weight) for weight in model.trainable_weights}
    assert len(factors) == len(model.trainable_weights)
    assert all(factor == (0.1 if "localization" in path else 1.0) for path, factor in factors.items())
    assert set(factors.values()) == {0.1, 1.0}


@pytest.mark.slow
def test_learns_where_to_look():
    """A spot is somewhere on a canvas; the classifier sees too little to find it itself."""
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    spots = np.zeros((256, 16, 16, 1), np.float32)
    labels = np.arange(256) % 2
    for spot, label, (row, column) in zip(spots, labels, rng.integers(1, 11, (256, 2)), strict=True):
        spot[row : row + 4, column : column + 4] = 1
        if label:
            spot[row + 1 : row + 3, column + 1 : column + 3] = 0
    plain = {"family": "cnn", "filters": [4], "head": "flatten", "dense": 0}
    model = SpatialTransformer((16, 16, 1), 2, plain, localization_filters=[8], localization_dense=16)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    before = model.get_layer("localization")(spots[:8]).numpy()
    history = model.fit(spots, labels, epochs=15, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    after = model.get_layer("localization")(spots[:8]).numpy()
    assert np.ptp(after, axis=0).max() > 0.1 > np.ptp(before, axis=0).max()  # another view of each image


def test_layers_that_cannot_be_fed_are_refused():
    with pytest.raises(ValueError, match="No such layer: conv_9"):
        make(before="conv_9")
    with pytest.raises(ValueError, match=r"expected before='logits' to be a layer that sees a feature map"):
        make(before="logits")
    with pytest.raises(ValueError, match="feature map"):
        make(shape=(14, 2))  # convolutions in one dimension


# === settings ===


def settings(**values):
    return SpatialTransformerSettings(family="spatial_transformer", **{"classifier": PLAIN, **values})


@pytest.mark.parametrize(
    "values",
    [
        {"classifier": {"family": "linear"}},
        {"classifier": {"family": "cnn", "filter": [3]}},
        {"transform": "rotation"},
        {"control_points": 1},
        {"size": [8]},
        {"size": [8, 0]},
        {"localization_filters": [0]},
        {"localization_rate": 0},
    ],
)
def test_settings_that_make_no_model_are_refused(values):
    with pytest.raises(pydantic.ValidationError):
        settings(**values)


def test_a_classifier_of_listed_layers():
    layers = [{"conv": {"filters": 5}}, {"activation": "relu"}, {"pool": {"size": 2}}, {"dense": 7}]
    how = settings(classifier={"family": "cnn", "layers": layers}, localization_filters=[3])
    model = build_model(how, SHAPE, {"classes": 3})
    again = SpatialTransformer.from_config(model.get_config())
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]
    assert model(images()).shape == (4, 3)
