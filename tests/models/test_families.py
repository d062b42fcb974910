"""What every model family must do; a new family adds its cases and its class to the lists below."""

import inspect
import json
import typing

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf

from conveyor.components.trainer.fit import build
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.models.build import FAMILIES, build_model
from conveyor.models.cnn.cnn import CNN
from conveyor.models.families import FamilySettings
from conveyor.models.linear.linear import Linear
from conveyor.models.mlp.mlp import MLP
from conveyor.pipeline.errors import UserError

IMAGE = (18, 16, 3)  # not square, so that height and width cannot be mixed up
CLASSES = 4
FAMILY_CLASSES = {"cnn": CNN, "linear": Linear, "mlp": MLP}
CASES = {
    "cnn": {"family": "cnn", "filters": [4, 6], "dense": 8},
    "cnn-all": {
        "family": "cnn",
        "filters": [3, 5],
        "convolutions": 2,
        "padding": "valid",
        "batch_norm": True,
        "dense": 6,
        "dropout": 0.25,
    },
    "cnn-bare": {"family": "cnn", "filters": [3], "kernel_size": 5, "pool_size": 1, "dense": 0},
    "linear": {"family": "linear"},
    "mlp": {"family": "mlp", "units": [12, 7]},
    "mlp-dropout": {"family": "mlp", "units": [16], "dropout": 0.25},
    "mlp-bare": {"family": "mlp", "units": []},
}


def read_settings(values):
    return pydantic.TypeAdapter(FamilySettings).validate_python(values)


@pytest.fixture(params=CASES)
def case(request):
    keras.utils.set_random_seed(7)
    return CASES[request.param]


@pytest.fixture
def model(case):
    return make(case)


@pytest.fixture
def policy():
    """Sets Keras's dtype policy for one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def make(case):
    """A model whose batch statistics are not those it starts with."""
    model = build_model(read_settings(case), IMAGE, CLASSES)
    model(images(8), training=True)
    return model


def images(count=5):
    return np.random.default_rng(3).normal(size=(count, *IMAGE)).astype(np.float32)


def parameters_of(family):
    return [
        parameter
        for name, parameter in inspect.signature(family.__init__).parameters.items()
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


def test_config_holds_every_parameter_and_the_name(case, model):
    names = {parameter.name for parameter in parameters_of(type(model))}
    config = model.get_config()
    assert set(config) == names | {"name"}
    given = {name: value for name, value in case.items() if name != "family"}
    assert {name: config[name] for name in given} == given
    assert (config["image_shape"], config["classes"], config["name"]) == (IMAGE, CLASSES, case["family"])


def test_config_round_trip_through_json(model):
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert again.get_config() == model.get_config()
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(images()), model(images()))


def test_keras_file_gives_the_same_model(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(again) is type(model)
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(again(images()), model(images()))


def test_saved_model_gives_the_same_outputs(model, tmp_path):
    model.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(tmp_path / "model")
    np.testing.assert_allclose(served.serve(images()), model(images()), rtol=1e-6, atol=1e-6)


def test_output_is_one_float32_logit_a_class(model):
    assert model.input_shape == (None, *IMAGE)
    assert model.output_shape == (None, CLASSES)
    assert model.compute_dtype == "float32"
    logits = model(images() * 50).numpy()
    assert logits.dtype == np.float32
    assert logits.min() < 0 or logits.max() > 1  # no softmax in the model


def test_one_step_changes_every_weight_and_a_few_lower_the_loss(model):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    targets = np.eye(CLASSES, dtype=np.float32)[[0, 1, 2, 3, 0, 1, 2, 3]]
    before = [weights.numpy() for weights in model.trainable_weights]
    losses = [model.train_on_batch(images(8), targets)]
    for old, weights in zip(before, model.trainable_weights, strict=True):
        assert np.any(old != weights.numpy()), weights.path
    losses += [model.train_on_batch(images(8), targets) for _ in range(30)]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_mixed_precision_computes_in_bfloat16_and_answers_in_float32(case, policy):
    keras.utils.set_random_seed(7)
    exact = make(case)
    policy("mixed_bfloat16")
    model = make(case)
    model.set_weights(exact.get_weights())
    logits = model(images())
    assert logits.dtype == tf.float32
    assert all(weights.dtype == "float32" for weights in model.weights)
    hidden = [layer for layer in model.layers if layer.weights and layer.name != "logits"]
    assert all(layer.compute_dtype == "bfloat16" for layer in hidden)
    np.testing.assert_allclose(logits, exact(images()), atol=0.1)


def test_compiled_by_xla_gives_the_same_outputs(model):
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=True)
    np.testing.assert_allclose(compiled(images()), model(images()), atol=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"family": "cnn", "filters": [2] * 4},
        {"family": "cnn", "filters": [2, 2], "padding": "valid", "kernel_size": 7},
        {"family": "cnn", "filters": [2], "pool_size": 9},
    ],
)
def test_model_that_does_not_fit_the_image_is_a_clear_error(values):
    document = {"height": 8, "width": 10, "channels": 1}
    with pytest.raises(UserError, match="cannot be built for images of 8x10") as caught:
        build(document, TrainerSettings(task={}, model=values), ["a", "b"])
    assert "output size" in caught.value.received
    assert "\x1b" not in str(caught.value)
    assert "transform.size" in caught.value.fix


def test_smallest_image_that_fits():
    settings = TrainerSettings(task={}, model={"family": "cnn", "filters": [2] * 3})
    model = build({"height": 8, "width": 8, "channels": 1}, settings, ["a", "b"])
    assert model.get_layer("pool_3").output.shape == (None, 1, 1, 2)


# === settings ===


@pytest.mark.parametrize("name", FAMILIES)
def test_settings_agree_with_the_class(name):
    fields = {key: field for key, field in _settings_of(name).model_fields.items() if key not in ("family",)}
    parameters = {parameter.name: parameter for parameter in parameters_of(FAMILY_CLASSES[name])}
    assert list(parameters) == ["image_shape", "classes", *fields]
    for key, field in fields.items():
        assert _plain(parameters[key].default) == _plain(field.default), key
        assert type(_plain(parameters[key].default)) is type(_plain(field.default)), key


def test_every_family_is_in_the_union_and_tested():
    assert set(FAMILIES) == {_family_of(arm) for arm in _arms()}
    assert set(FAMILIES) == set(FAMILY_CLASSES) == {case["family"] for case in CASES.values()}
    for name, family in FAMILY_CLASSES.items():
        module, _, attribute = FAMILIES[name].partition(":")
        assert (module, attribute) == (family.__module__, family.__name__)


@pytest.mark.parametrize(
    "values",
    [
        {"family": "cnn", "filters": []},
        {"family": "cnn", "filters": [0]},
        {"family": "cnn", "padding": "full"},
        {"family": "cnn", "dropout": 1.0},
        {"family": "cnn", "pool_size": 0},
        {"family": "mlp", "units": [8, 0]},
        {"family": "mlp", "dropout": -0.1},
        {"family": "linear", "units": [8]},
        {"family": "perceptron"},
        {},
    ],
)
def test_settings_that_make_no_model_are_refused(values):
    with pytest.raises(pydantic.ValidationError):
        read_settings(values)


def _arms():
    return typing.get_args(typing.get_args(FamilySettings)[0])


def _family_of(settings):
    return typing.get_args(settings.model_fields["family"].annotation)[0]


def _settings_of(name):
    return next(arm for arm in _arms() if _family_of(arm) == name)


def _plain(value):
    return list(value) if isinstance(value, tuple | list) else value
