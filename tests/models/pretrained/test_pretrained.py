"""Backbones of keras.applications and of saved models, and how their weights are trained."""

import json
import zipfile

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf

from conveyor.models.build import build_model
from conveyor.models.cnn.cnn import CNN
from conveyor.models.mlp.mlp import MLP
from conveyor.models.pretrained import backbone as module
from conveyor.models.pretrained.backbone import ApplicationPreprocessing, blocks
from conveyor.models.pretrained.pretrained import Pretrained
from conveyor.models.pretrained.settings import APPLICATIONS, BackboneSettings, PretrainedSettings

IMAGE = (12, 10, 3)
IMAGES = np.random.default_rng(0).random((4, *IMAGE), dtype=np.float32)


@pytest.fixture(scope="module")
def donor():
    """A CNN, as an earlier run leaves it, with batch statistics of its own."""
    keras.utils.set_random_seed(3)
    model = CNN(IMAGE, 5, filters=[4, 6], normalization="batch", dense=0, name="cnn")
    model(IMAGES * 3 + 1, training=True)
    return model


@pytest.fixture(scope="module")
def file(donor, tmp_path_factory):
    path = tmp_path_factory.mktemp("donor") / "model.keras"
    donor.save(path)
    return path


def make(file, image_shape=IMAGE, classes=3, **settings):
    keras.utils.set_random_seed(5)
    backbone = {"path": str(file), **settings.pop("backbone", {})}
    values = PretrainedSettings(family="pretrained", backbone=backbone, **settings)
    return build_model(values, image_shape, {"classes": classes})


# === features ===


def test_features_are_those_of_the_earlier_model(donor, file):
    np.testing.assert_array_equal(make(file).backbone()(IMAGES), donor.backbone()(IMAGES))


def test_features_get_the_input_that_the_backbone_was_trained_on(donor, file):
    mean, std = [10.0, 120.0, 250.0], [20.0, 255.0, 3.0]
    model = make(file, backbone={"mean": mean, "std": std})
    expected = donor.backbone()(((IMAGES * 255 - mean) / std).astype(np.float32))
    np.testing.assert_allclose(model.backbone()(IMAGES), expected, rtol=1e-4, atol=1e-4)


def test_backbone_uses_the_statistics_it_came_with_also_in_training(file):
    model = make(file, dropout=0)
    before = model.get_weights()
    assert any("moving_variance" in weights.path for weights in model.weights)
    np.testing.assert_array_equal(model(IMAGES * 7, training=True), model(IMAGES * 7, training=False))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("head", "features"), [("global_average", 6), ("flatten", 3 * 2 * 6)])
def test_head(file, head, features):
    model = make(file, head=head, dense=7)
    assert model.get_layer("head_dense").kernel.shape == (features, 7)
    assert model.get_layer("logits").kernel.shape == (7, 3)


def test_features_that_are_a_vector_need_no_pooling(tmp_path):
    MLP(IMAGE, 5, units=[8], name="mlp").save(tmp_path / "model.keras")
    model = make(tmp_path / "model.keras", dense=7)
    assert model.get_layer("head_dense").kernel.shape == (8, 7)
    paths = [weights.path for weights in model.weights]
    assert len(set(paths)) == len(paths)


def test_model_of_the_users_own(tmp_path):
    layers = keras.layers
    other = keras.Sequential([keras.Input(IMAGE), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    other.save(tmp_path / "model.keras")
    expected = other.layers[0](IMAGES)
    np.testing.assert_array_equal(make(tmp_path / "model.keras").backbone()(IMAGES), expected)


def test_pretrained_model_is_a_backbone_again(file, tmp_path):
    first = make(file, dense=4)
    first.save(tmp_path / "first.keras")
    second = make(tmp_path / "first.keras", classes=2)
    np.testing.assert_allclose(second.backbone()(IMAGES), first.backbone()(IMAGES), atol=1e-6)
    assert sum(map(second.is_pretrained, second.weights)) == sum(map(first.is_pretrained, first.weights))


def test_precision_is_that_of_this_training(file):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make(file)
        network = model.get_layer("backbone")
        assert {layer.compute_dtype for layer in network.layers if layer.weights} == {"bfloat16"}
        assert model(IMAGES).dtype == tf.float32
        assert model.backbone()(IMAGES).dtype == tf.bfloat16
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_allclose(model(IMAGES), make(file)(IMAGES), atol=0.05)


# === saving ===


def test_saved_without_a_trace_of_where_the_backbone_was(file, tmp_path):
    model = make(file, dense=4, frozen_epochs=2, rate=0.5, rate_decay=0.25)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again(IMAGES), model(IMAGES))
    assert again.frozen_epochs == 2
    for one, other in zip(model.weights, again.weights, strict=True):
        assert one.path == other.path
        assert model.is_pretrained(one) == again.is_pretrained(other)
        assert model.learning_rate_factor(one) == again.learning_rate_factor(other)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = archive.read("config.json")
    assert str(file.parent).encode() not in config
    assert b"shared_object_id" not in config  # an address: the bytes would differ from run to run


def test_config_round_trip_through_json(file):
    model = make(file)
    told = json.dumps(model.get_config())
    assert json.dumps(Pretrained.from_config(json.loads(told)).get_config()) == told


def test_same_file_and_seed_give_the_same_model(file):
    one, other = make(file, dense=4), make(file, dense=4)
    assert [w.path for w in one.weights] == [w.path for w in other.weights]
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_served(file, tmp_path):
    model = make(file, dense=4)
    model.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_allclose(served.serve(IMAGES), model(IMAGES), rtol=1e-5, atol=1e-6)


# === training ===


def test_weights_moved_are_all_before_the_head(donor, file):
    model = make(file, dense=4)
    moved = [weights for weights in model.weights if model.is_pretrained(weights)]
    assert sum(w.shape.num_elements() for w in moved) == donor.backbone().count_params()
    assert {w.path for w in model.weights if not model.is_pretrained(w)} == {
        "head_dense/kernel",
        "head_dense/bias",
        "logits/kernel",
        "logits/bias",
    }


def test_rates_fall_from_block_to_block(file):
    model = make(file, rate=0.5, rate_decay=0.25)
    rates = {weights.path: model.learning_rate_factor(weights) for weights in model.trainable_weights}
    by_block = {path.split("/")[0]: rate for path, rate in rates.items()}
    # the second convolution comes after the first pooling
    assert by_block == {"conv_1_1": 0.125, "conv_2_1": 0.5, "logits": 1.0}


def test_blocks_end_at_strides_and_branches_meet_in_the_later():
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    stem = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(image)
    main = layers.Conv2D(4, 3, strides=2, padding="same", name="main")(stem)
    main = layers.Conv2D(4, 3, padding="same", name="main_2")(main)
    short = layers.Conv2D(4, 1, strides=2, name="short")(stem)
    joined = main + short  # an operation that is no layer
    gate = layers.Dense(4, name="gate")(layers.GlobalAveragePooling2D()(joined))
    inner = keras.Sequential([layers.MaxPooling2D(), layers.Conv2D(2, 1, name="inner")], name="nested")
    last = layers.Conv2D(2, 1, name="last")(inner(layers.Multiply()([joined, gate])))
    network = keras.Model(image, last)
    found = blocks(network)
    numbers = {weights.path.split("/")[-2]: found[id(weights)] for weights in network.weights}
    assert numbers == {"stem": 1, "main": 2, "main_2": 2, "short": 2, "gate": 2, "inner": 3, "last": 3}


def test_backbone_without_weights_is_trained_as_any_model():
    model = Pretrained((32, 32, 3), 2, {"application": "vgg16", "weights": "none"}, name="pretrained")
    assert not any(map(model.is_pretrained, model.weights))
    assert {model.learning_rate_factor(weights) for weights in model.weights} == {1.0}
    assert model.get_config()["backbone"] == {"application": "vgg16", "weights": "none"}


# === applications ===


def test_applications_are_those_of_keras():
    names = [name for name in dir(keras.applications) if name[0].isupper()]
    assert sorted(name.replace("-", "") for name in APPLICATIONS) == sorted(map(str.lower, names))


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("EfficientNetV2B0", "efficientnetv2-b0"),
        ("resnet50v2", "resnet50-v2"),
        ("mobilenet_v3_small", "mobilenet-v3-small"),
    ],
)
def test_any_spelling_of_an_application(spelled, name):
    assert BackboneSettings(application=spelled).application == name


@pytest.mark.parametrize(
    ("application", "expected"),
    [
        ("mobilenet", [-1.0, 0.0, 1.0]),  # "tf": to [-1, 1]
        ("densenet121", [-0.485 / 0.229, 0.044 / 0.224, 0.594 / 0.225]),  # "torch": ImageNet's statistics
        ("resnet50", [255 - 103.939, 127.5 - 116.779, -123.68]),  # "caffe": BGR less the mean
        ("efficientnetv2-b0", [0.0, 127.5, 255.0]),  # has its own inside
    ],
)
def test_preprocessing_of_each_kind_by_hand(application, expected):
    layer = ApplicationPreprocessing(application)
    pixel = np.array([0.0, 0.5, 1.0], np.float32).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(np.ravel(layer(pixel)), expected, rtol=1e-4, atol=1e-4)
    again = ApplicationPreprocessing.from_config(layer.get_config())
    np.testing.assert_array_equal(again(pixel), layer(pixel))


@pytest.fixture
def small_application(monkeypatch):
    """In place of MobileNet, whose weights take time: a network of one layer, made as that is."""

    def constructor(include_top, weights, input_shape):
        assert (include_top, weights) == (False, None)
        return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(5, 3, name="conv")])

    constructor.__module__ = keras.applications.MobileNet.__module__
    monkeypatch.setattr(module, "_constructor", lambda _name: constructor)
    return constructor


def test_weights_of_a_file(small_application, tmp_path):
    network = small_application(False, None, IMAGE)
    network.save_weights(tmp_path / "some.weights.h5")
    settings = {"application": "mobilenet", "weights": str(tmp_path / "some.weights.h5")}
    model = Pretrained(IMAGE, 2, settings, name="pretrained")
    np.testing.assert_allclose(model.backbone()(IMAGES), network(IMAGES * 2 - 1), rtol=1e-5, atol=1e-5)
    assert sum(map(model.is_pretrained, model.weights)) == 2
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again(IMAGES), model(IMAGES))


def test_weights_of_a_file_that_do_not_fit(small_application, tmp_path):
    other = keras.Sequential([keras.Input(IMAGE), keras.layers.Conv2D(7, 3, name="conv")])
    other.save_weights(tmp_path / "some.weights.h5")
    settings = {"application": "mobilenet", "weights": str(tmp_path / "some.weights.h5")}
    with pytest.raises(ValueError, match=r"mobilenet.*some\.weights\.h5.*3, 3, 3, 5.*3, 3, 3, 7"):
        Pretrained(IMAGE, 2, settings)


def test_weights_that_cannot_be_downloaded(monkeypatch):
    def offline(**_arguments):
        raise Exception("URL fetch failure on https://example.org/w.h5: None -- unreachable")

    monkeypatch.setattr(module, "_constructor", lambda _name: offline)
    with pytest.raises(ValueError, match=r"mobilenet cannot be downloaded.*model\.backbone\.weights"):
        Pretrained((32, 32, 3), 2, {"application": "mobilenet"})


# === bad input ===


def test_image_of_another_shape_names_both(file):
    with pytest.raises(ValueError, match=r"takes, 12x10x3\. Received: 12x11x3"):
        make(file, image_shape=(12, 11, 3))
    with pytest.raises(ValueError, match=r"takes, 12x10x3\. Received: 12x10x1"):
        make(file, image_shape=(12, 10, 1))


def test_grey_images_for_weights_of_rgb():
    with pytest.raises(ValueError, match=r"32x32x3.*transform\.channels=3.*Received: 32x32x1"):
        Pretrained((32, 32, 1), 2, {"application": "mobilenet"})


def test_image_too_small_for_an_application():
    with pytest.raises(ValueError, match=r"vgg16, for images of 16x16x3: .*at least 32x32"):
        Pretrained((16, 16, 3), 2, {"application": "vgg16", "weights": "none"})


def test_mean_of_other_channels(file):
    with pytest.raises(ValueError, match="3 channels"):
        make(file, backbone={"mean": [0.0], "std": [1.0]})


def test_file_that_is_no_model(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"model\.keras cannot be loaded"):
        make(tmp_path / "model.keras")


def test_file_that_brings_code_is_refused(tmp_path):
    image = keras.Input(IMAGE)
    keras.Model(image, keras.layers.Lambda(lambda x: x + 1)(image)).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"model\.keras cannot be loaded"):
        make(tmp_path / "model.keras")


def test_model_without_a_feature_map(tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="expected a model with a feature map"):
        make(tmp_path / "model.keras")


def test_run_that_was_not_looked_up():
    with pytest.raises(ValueError, match=r"expected the path of a saved model.*digits_cnn"):
        Pretrained(IMAGE, 2, {"run": "digits_cnn"})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"run": "a", "path": "b"},
        {"application": "resnet51"},
        {"path": "a", "mean": [1.0], "std": []},
        {"path": "a", "mean": [1.0], "std": [0.0]},
    ],
)
def test_settings_of_no_backbone(values):
    with pytest.raises(pydantic.ValidationError):
        BackboneSettings(**values)
