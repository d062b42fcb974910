"""What a model looks at, where it is known by construction."""

import keras
import numpy as np
import pytest
from keras import layers

from conveyor.models.explain.maps import filters, look
from conveyor.models.model import Model


def blob_finder():
    """Two classes: a bright spot on the left, a bright spot on the right; it reads the channels apart."""
    image = keras.Input((8, 8, 1), name="image")
    features = layers.Conv2D(2, 1, use_bias=False, activation="relu", name="features")(image)
    halves = layers.Multiply(name="halves")([features, _halves()])
    logits = layers.Dense(2, use_bias=False, name="logits")(layers.GlobalAveragePooling2D()(halves))
    model = keras.Model(image, logits)
    model.get_layer("features").set_weights([np.ones((1, 1, 1, 2), np.float32)])
    model.get_layer("logits").set_weights([np.eye(2, dtype=np.float32)])
    return model


def _halves():
    halves = np.zeros((1, 8, 8, 2), np.float32)
    halves[:, :, :4, 0] = halves[:, :, 4:, 1] = 1
    return keras.ops.convert_to_tensor(halves)


def spots(*places):
    images = np.zeros((len(places), 8, 8, 1), np.float32)
    for image, (row, column) in zip(images, places, strict=True):
        image[row, column] = 5
    return images


def test_heat_is_where_the_answer_comes_from():
    images = spots((1, 1), (6, 5))
    images[0, 3, 6] = 1  # weaker, and speaks for the other class
    heat = look(blob_finder(), images).heat
    assert heat.layer == "halves"
    expected = np.zeros((2, 8, 8, 1))
    expected[0, 1, 1] = expected[1, 6, 5] = 1
    np.testing.assert_allclose(heat.values, expected, atol=1e-6)


def test_heat_is_gradient_weighted_as_in_the_paper():
    """Oracle: equations 1 and 2 written out, with the gradient by finite differences."""
    keras.utils.set_random_seed(3)
    image = keras.Input((6, 6, 2))
    maps = layers.Conv2D(3, 3, activation="relu", name="maps")(image)
    model = keras.Model(image, layers.Dense(4)(layers.Flatten()(layers.AveragePooling2D(2)(maps))))
    images = np.random.default_rng(0).standard_normal((2, 6, 6, 2)).astype(np.float32)
    heat = look(model, images).heat
    assert heat.layer == "maps", "the map before the last pooling"
    head = keras.Model(maps, model.output)
    values = keras.Model(image, maps)(images).numpy()
    for number, value in enumerate(values):
        label = int(head(value[None]).numpy().argmax())
        gradient = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            moved = [value.copy(), value.copy()]
            moved[0][place] += 1e-3
            moved[1][place] -= 1e-3
            up, down = head(np.stack(moved)).numpy()[:, label]
            gradient[place] = (up - down) / 2e-3
        expected = np.maximum((gradient.mean(axis=(0, 1)) * value).sum(axis=-1), 0)
        expected /= max(expected.max(), 1e-9)
        if expected.any():
            np.testing.assert_allclose(heat.values[number, ..., 0], expected, atol=0.01)


def test_feature_maps_are_the_last_of_each_size():
    image = keras.Input((16, 16, 1), name="image")
    x = layers.Conv2D(12, 3, padding="same", name="conv_1")(image)
    x = layers.ReLU(name="relu_1")(x)
    x = layers.MaxPooling2D(2, name="pool_1")(x)
    inner = keras.Sequential(
        [keras.Input((8, 8, 12)), layers.Conv2D(3, 3, strides=2, name="conv")], name="inner"
    )
    model = keras.Model(image, layers.Dense(2)(layers.GlobalMaxPooling2D()(inner(x))))
    images = np.random.default_rng(0).standard_normal((2, 16, 16, 1)).astype(np.float32)
    features = look(model, images).features
    assert [(maps.layer, maps.values.shape) for maps in features] == [
        ("relu_1", (2, 16, 16, 8)),
        ("pool_1", (2, 8, 8, 8)),
        ("inner/conv", (2, 3, 3, 3)),
    ]
    whole = keras.Model(image, model.get_layer("relu_1").output)(images).numpy()
    kept = np.sort(np.argsort(-whole.std(axis=(1, 2)).mean(axis=0), kind="stable")[:8])
    np.testing.assert_allclose(features[0].values, whole[..., kept], rtol=1e-6)
    assert [maps.layer for maps in look(model, images, layers=2).features] == ["relu_1", "inner/conv"]


def test_feature_maps_of_a_model_that_takes_any_size():
    image = keras.Input((None, None, 1), name="image")
    x = layers.Conv2D(3, 3, padding="same", name="conv_1")(image)
    x = layers.ReLU(name="relu_1")(x)
    x = layers.MaxPooling2D(2, name="pool_1")(x)
    model = keras.Model(image, layers.UpSampling2D(2, name="larger")(x))
    features = look(model, np.ones((1, 8, 8, 1), np.float32)).features
    assert [(maps.layer, maps.values.shape[1]) for maps in features] == [
        ("relu_1", 8),
        ("pool_1", 4),
        ("larger", 8),
    ]


def test_heat_of_a_segmenter_is_at_the_features_that_are_scored():
    """The one feature is the pixel, and class 1 is where it is above 0.5: heat is there, and the brighter
    the hotter. The background, which has larger logits, adds none."""
    image = keras.Input((4, 4, 1), name="image")
    features = layers.ReLU(name="features")(image)
    logits = layers.Conv2D(2, 1, name="logits")(features)
    model = Model(image, layers.Identity(name="float")(logits))
    model.features_layer = "features"
    model.get_layer("logits").set_weights(
        [np.array([[[[0.0, 10.0]]]], np.float32), np.array([5.0, 0], np.float32)]
    )
    images = np.zeros((1, 4, 4, 1), np.float32)
    images[0, 1, 2], images[0, 3, 3] = 1.0, 0.8
    heat = look(model, images).heat
    assert heat.layer == "features"
    np.testing.assert_allclose(heat.values, images, rtol=1e-6)


def test_autoencoders_are_looked_at_up_to_the_code():
    image = keras.Input((8, 8, 1), name="image")
    coded = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="encoded")(image)
    code = layers.Dense(3, name="code")(layers.Flatten()(coded))
    grown = layers.Reshape((4, 4, 1))(layers.Dense(16)(code))
    made = layers.Conv2DTranspose(1, 3, strides=2, padding="same", name="made")(grown)
    model = keras.Model(image, {"reconstruction": made, "code": code})
    seen = look(model, np.ones((1, 8, 8, 1), np.float32))
    assert seen.heat.layer == "encoded"
    assert 0 <= seen.heat.values.min() <= seen.heat.values.max() <= 1


def test_models_without_maps_show_nothing_but_filters():
    model = keras.Sequential([keras.Input((2, 3, 1)), layers.Flatten(), layers.Dense(2, name="logits")])
    seen = look(model, np.ones((1, 2, 3, 1), np.float32))
    assert (seen.features, seen.heat) == ([], None)
    kernel = np.array([[0, 4], [1, 0], [2, 0], [-2, 0], [0, 0], [0, -8]], np.float32)
    model.get_layer("logits").set_weights([kernel, np.zeros(2, np.float32)])
    found = filters(model)
    assert found.layer == "logits"
    np.testing.assert_allclose(found.values[0, ..., 0], [[0.5, 0.75, 1], [0, 0.5, 0.5]])
    np.testing.assert_allclose(found.values[1, ..., 0], [[0.75, 0.5, 0.5], [0.5, 0.5, 0]])


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (3, 3), (4, 1)])
def test_filters_of_a_convolution(channels, shown):
    model = keras.Sequential([keras.Input((9, 9, channels)), layers.Conv2D(70, 3, name="conv")])
    found = filters(model)
    assert (found.layer, found.values.shape) == ("conv", (64, 3, 3, shown))
    assert found.values.min() >= 0
    assert found.values.max() <= 1


def test_no_picture_of_filters_of_a_pixel():
    model = keras.Sequential([keras.Input((9, 9, 1)), layers.Conv2D(7, 1)])
    assert filters(model) is None
