"""What every model family must do; a new family adds its cases to `family_cases` and no code here."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from family_cases import CASES, CLASSES, NOT_IN_LITERT, SLOW, Case, parameters_of

from conveyor.components.exporter.formats import FORMATS, raw_outputs
from conveyor.models.model import Model
from conveyor.models.ops.frames import whole_frame


def cases():
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES]


@pytest.fixture(scope="module", params=cases())
def case(request):
    return Case(request.param)


@pytest.fixture(scope="module")
def model(case):
    """One for all tests of a case, which must not change it."""
    return case.make()


@pytest.fixture
def policy():
    """Sets Keras's dtype policy for one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def assert_same(found, expected, **tolerance):
    """Compares outputs, which may be dicts."""
    keras.tree.assert_same_structure(found, expected)
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, **{"rtol": 0, "atol": 0, **tolerance})


def test_config_holds_every_parameter_and_the_name(case, model):
    names = {parameter.name for parameter in parameters_of(type(model))}
    config = model.get_config()
    assert set(config) == names | {"name"}
    given = case.settings.model_dump(exclude={"family"})
    assert {name: config[name] for name in given} == given
    assert (config["image_shape"], config["name"]) == (case.shape, case.values["family"])
    arguments = case.task.model_arguments()
    assert {name: config[name] for name in arguments} == arguments


def test_config_round_trip_through_json(case, model):
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert again.get_config() == model.get_config()
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    again.set_weights(model.get_weights())
    assert_same(again(case.images()), model(case.images()))


def test_keras_file_gives_the_same_model(case, model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(again) is type(model)
    assert again.get_config() == model.get_config()
    assert_same(again(case.images()), model(case.images()))


def test_saved_model_gives_the_same_outputs(case, model, tmp_path):
    model.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(tmp_path / "model")
    assert_same(served.serve(case.images()), model(case.images()), rtol=1e-5, atol=1e-5)


def test_weights_have_names_of_their_own(model):
    """Checkpoints, optimisers and layer tables tell them apart by these."""
    paths = [weights.path for weights in model.weights]
    assert len(set(paths)) == len(paths)


def test_answers_in_prediction_are_always_the_same(case, model):
    assert_same(model(case.images(), training=False), model(case.images(), training=False))


def test_backbone_shares_the_weights_before_the_head(case, model):
    backbone = model.backbone()
    assert isinstance(model, Model)
    assert set(map(id, backbone.weights)) <= set(map(id, model.weights))
    whole = keras.Model(model.inputs, [model.get_layer(model.features_layer).output, model.outputs])
    features, outputs = whole(case.images())
    assert_same(backbone(case.images()), features)
    assert_same(outputs, keras.tree.flatten(model(case.images())))


def test_a_few_steps_change_every_weight_and_lower_the_loss(case):
    model = case.make()
    model.compile(  # eagerly: tracing takes longer than so few steps
        keras.optimizers.Adam(0.006), loss=case.task.loss(), metrics=case.task.metrics(), run_eagerly=True
    )
    inputs, targets = case.batch()
    before = [weights.numpy() for weights in model.trainable_weights]
    losses = [model.train_on_batch(inputs, targets)[0] for _ in range(9)]
    for old, weights in zip(before, model.trainable_weights, strict=True):
        assert np.any(old != weights.numpy()), weights.path
    assert np.mean(losses[-3:]) < losses[0]


def test_mixed_precision_computes_in_bfloat16_and_answers_in_float32(case, model, policy):
    exact = model
    policy("mixed_bfloat16")
    model = case.make()
    model.set_weights(exact.get_weights())
    outputs = model(case.images())
    assert {output.dtype for output in keras.tree.flatten(outputs)} == {tf.float32}
    assert all(weights.dtype == "float32" for weights in model.weights)
    last = {"logits", *model.output_names}
    hidden = [layer for layer in model.layers if layer.weights and layer.name not in last]
    assert all(layer.compute_dtype == "bfloat16" for layer in hidden)
    expected = exact(case.images())
    assert_same(case.comparable(outputs), case.comparable(expected), rtol=0.1, atol=0.2)


def test_compiled_by_xla_gives_the_same_outputs(case, model):
    def answer(images):
        return model(images, training=False), model.serve(images)

    (raw, served), (expected, expected_served) = (
        function(case.images()) for function in (tf.function(answer, jit_compile=True), answer)
    )
    assert_same(raw, expected, rtol=1e-4, atol=1e-4)
    assert_same(served, expected_served, rtol=1e-3, atol=1e-3)


def test_litert_gives_the_same_outputs(case, model):
    litert = FORMATS["litert"]
    if case.name in NOT_IN_LITERT:
        with pytest.raises(Exception, match=NOT_IN_LITERT[case.name]):
            litert.convert(model, [])
        return
    found = raw_outputs(litert.open(litert.convert(model, []))(case.images()))
    expected = keras.tree.map_structure(np.asarray, model.serve(case.images()))
    if isinstance(expected, dict) and "labels" in expected:
        # of two equal scores either may come first
        same = (found.pop("labels") == expected.pop("labels")) & (found.pop("index") == expected.pop("index"))
        assert same.mean() > 0.9
        if "masks" in expected:
            assert_same(found.pop("masks")[same], expected.pop("masks")[same], atol=1e-4)
    assert_same(found, expected, atol=1e-4)


def test_answers_are_what_the_task_works_on(case, model):
    """Classification: a float32 logit a class. Reconstruction: an image in [0, 1] and a vector. Detection:
    boxes within the image, of which each is one of the classes. Segmentation: logits of each pixel."""
    assert model.input_shape == (None, *case.shape)
    raw = model(case.images() * 20 - 10)
    if "reconstruction" in case.settings.tasks:
        assert raw["reconstruction"].shape == (5, *case.shape)
        assert 0 <= raw["reconstruction"].numpy().min() <= raw["reconstruction"].numpy().max() <= 1
        assert len(raw["code"].shape) == 2
    elif "detection" in case.settings.tasks:
        found = {name: value.numpy() for name, value in model.serve(case.images()).items()}
        most = model.detections["most"]
        assert found["boxes"].shape == (5, most, 4)
        assert found["scores"].shape == found["labels"].shape == (5, most)
        there = found["labels"] >= 0
        assert there.any()
        assert (found["labels"] < len(CLASSES)).all()
        assert (found["boxes"][there] >= 0).all()
        assert (found["boxes"][there] <= [*case.shape[1::-1]] * 2).all()
        assert ((found["scores"] > model.detections["score"]) == there).all()
    elif "segmentation" in case.settings.tasks:
        assert raw.shape == (5, *case.shape[:2], len(CLASSES))
        assert raw.numpy().min() < 0 or raw.numpy().max() > 1
    else:
        assert raw.shape == (5, len(CLASSES))
        assert raw.numpy().min() < 0 or raw.numpy().max() > 1  # no softmax in the model
    assert case.task.decode(case.images(), model.serve(case.images()), whole_frame(case.images()))
