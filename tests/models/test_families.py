"""What every model family must do; a new family adds its cases here and no code."""

import importlib
import inspect
import json
import typing

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf

from conveyor.models.build import FAMILIES, build_model
from conveyor.models.families import FamilySettings, families
from conveyor.models.model import Model
from conveyor.models.ops.frames import whole_frame
from conveyor.models.ops.instances import FIRST
from conveyor.models.tasks.settings import TaskSettings
from conveyor.models.tasks.task import TASKS, make_task

IMAGE = (
    18,
    17,
    3,
)  # not square, so that height and width cannot be mixed up; odd, so that halves are rounded
CLASSES = ["ant", "bee", "cat", "dog"]
CASES = {
    "autoencoder": {"family": "autoencoder", "filters": [3, 5]},
    "autoencoder-dense": {"family": "autoencoder", "filters": [4], "code": 6, "activation": "elu"},
    "autoencoder-deep": {"family": "autoencoder", "filters": [3, 4], "convolutions": 2, "code_channels": 2},
    "autoencoder-variational": {"family": "autoencoder", "filters": [3], "code": 4, "variational": True},
    "autoencoder-places": {"family": "autoencoder", "filters": [3, 4], "variational": True, "beta": 0.5},
    "cnn": {"family": "cnn", "filters": [4, 6], "dense": 8},
    "cnn-all": {
        "family": "cnn",
        "filters": [3, 5],
        "convolutions": 2,
        "padding": "valid",
        "normalization": "batch",
        "activation": "gelu",
        "pooling": "average",
        "dense": 6,
        "dropout": 0.25,
        "initializer": "he_normal",
        "l1": 1e-4,
        "l2": 1e-3,
    },
    "cnn-bare": {"family": "cnn", "filters": [3], "kernel_size": 5, "pool_size": 1, "dense": 0},
    "cnn-strided": {
        "family": "cnn",
        "filters": [4, 6],
        "strides": 2,
        "pool_size": 1,
        "normalization": "group",
        "head": "global_average",
    },
    "cnn-dilated": {"family": "cnn", "filters": [4], "dilation": 2, "normalization": "layer", "dense": 0},
    "cnn-separable": {"family": "cnn", "filters": [4, 6], "separable": True, "normalization": "batch"},
    "cnn-layers": {
        "family": "cnn",
        "layers": [
            {"conv": {"filters": 5, "kernel_size": 5, "strides": 2, "padding": "valid"}},
            {"norm": "batch"},
            {"activation": "relu"},
            {"pool": {"size": 3, "strides": 2, "padding": "same"}},
            {"dropout": 0.1},
            {"conv": {"filters": 4, "dilation_rate": 2}},
            {"dense": 7},
        ],
    },
    "cnn-sequence": {"family": "cnn", "filters": [4, 6], "normalization": "batch", "head": "global_average"},
    "cnn-volume": {"family": "cnn", "filters": [3], "pooling": "average", "dense": 5},
    "deeplab": {"family": "deeplab", "filters": [3, 4, 6], "pyramid_filters": 5, "low_level_filters": 3},
    "deeplab-backbone": {
        "family": "deeplab",
        "backbone": {"family": "resnet", "depth": 8, "width": 4},
        "output_level": 2,
        "low_level": 1,
        "rates": [1, 2],
        "pyramid_filters": 6,
        "image_pooling": False,
    },
    "fcn": {"family": "fcn", "filters": [3, 4, 6], "head_filters": 6, "dropout": 0.1},
    "fcn-32s": {"family": "fcn", "filters": [4, 6], "skips": 0, "head_filters": 0, "normalization": "group"},
    "fcn-backbone": {
        "family": "fcn",
        "backbone": {"family": "cnn", "filters": [4, 5, 6], "normalization": "batch"},
        "skips": 1,
        "head_filters": 5,
    },
    "faster_rcnn": {
        "family": "faster_rcnn",
        "backbone": {"family": "cnn", "filters": [4, 6], "strides": 2, "pool_size": 1},
        "finest": 1,
        "coarsest": 3,
        "filters": 6,
        "anchor_scales": [2.0, 3.0],
        "proposals": {"before": 30, "most": 8},
        "regions": {"size": 3, "dense": [6], "sample": 8},
        "detections": {"most": 8},
    },
    "faster_rcnn-masks": {
        "family": "faster_rcnn",
        "backbone": {"family": "resnet", "depth": 8, "width": 4},
        "finest": 1,
        "coarsest": 1,
        "filters": 5,
        "anchor_scales": [3.0],
        "proposals": {"before": 20, "most": 6, "sample": 16},
        "regions": {"size": 3, "dense": [6], "sample": 6, "share": 0.5, "pooling": "pool"},
        "mask_head": True,
        "masks": {"size": 3, "filters": [4]},
        "detections": {"most": 10},
    },
    "linear": {"family": "linear"},
    "mlp": {"family": "mlp", "units": [12, 7]},
    "mlp-dropout": {"family": "mlp", "units": [16], "dropout": 0.25},
    "mlp-bare": {"family": "mlp", "units": []},
    "pretrained": {
        "family": "pretrained",
        "backbone": {"application": "mobilenet", "weights": "none"},
        "dense": 6,
    },
    "resnet": {"family": "resnet", "depth": 8, "width": 4, "dropout": 0.1},
    "resnet-a": {"family": "resnet", "depth": 8, "width": 3, "shortcut": "A", "zero_gamma": False},
    "resnet-2": {"family": "resnet", "depth": 8, "width": 4, "version": 2},
    "resnet-imagenet": {"family": "resnet", "depth": 18, "width": 4, "stem": "imagenet"},
    "resnet-bottleneck": {"family": "resnet", "depth": 50, "width": 2, "stem": "imagenet", "version": 2},
    "ssd": {
        "family": "ssd",
        "backbone": {
            "family": "cnn",
            "filters": [4, 6, 8],
            "strides": 2,
            "pool_size": 1,
            "normalization": "batch",
        },
        "finest": 2,
        "coarsest": 4,
        "filters": 6,
        "scales": [2.0],
    },
    "ssd-plain": {
        "family": "ssd",
        "backbone": {"family": "resnet", "depth": 8, "width": 4},
        "finest": 1,
        "coarsest": 3,
        "pyramid": False,
        "filters": 6,
        "head_convolutions": 0,
        "anchors": "auto",
        "shapes": [[[5.0, 6.0]], [[8.0, 7.5]], [[11.0, 9.0]]],
        "positive": 0.3,
        "negative": 0.3,
        "class_loss": "focal",
        "box_loss": "diou",
    },
    "ssd-quality": {
        "family": "ssd",
        "backbone": {"family": "cnn", "filters": [4, 6], "strides": 2, "pool_size": 1},
        "finest": 2,
        "coarsest": 2,
        "filters": 5,
        "class_loss": "quality",
        "box_loss": "giou",
        "box_weight": 2.0,
        "detections": {"soft": True, "most": 20},
    },
    "spatial_transformer": {
        "family": "spatial_transformer",
        "classifier": {"family": "cnn", "filters": [4, 6], "dense": 8},
        "localization_filters": [3],
        "localization_dense": 4,
    },
    "spatial_transformer-inside": {
        "family": "spatial_transformer",
        "classifier": {"family": "cnn", "filters": [4, 6], "normalization": "batch", "dropout": 0.1},
        "transform": "thin_plate_spline",
        "control_points": 3,
        "before": "conv_2_1",
        "localization_filters": [],
        "localization_rate": 0.5,
    },
    "spatial_transformer-resnet": {
        "family": "spatial_transformer",
        "classifier": {"family": "resnet", "depth": 8, "width": 4},
        "transform": "projective",
        "size": [12, 11],
        "localization_filters": [3, 4],
    },
}
CASES |= {
    "unet": {"family": "unet", "filters": [4, 6, 8], "convolutions": 1},
    "unet-strided": {
        "family": "unet",
        "filters": [5, 6],
        "stem_strides": 4,
        "separable": True,
        "dropout": 0.1,
        "upsampling": "bilinear",
    },
    "unet-backbone": {
        "family": "unet",
        "filters": [4, 6],
        "backbone": {"family": "resnet", "depth": 8, "width": 4},
    },
    "unet-pretrained": {
        "family": "unet",
        "filters": [3, 4, 5, 6],
        "backbone": {
            "family": "pretrained",
            "backbone": {"application": "mobilenet", "weights": "none"},
        },
    },
}
SHAPES = {  # of the cases that IMAGE does not suit
    "cnn-sequence": (21, 3),
    "cnn-volume": (5, 6, 7, 2),
    "pretrained": (33, 35, 3),
    "unet-pretrained": (33, 35, 3),
    "resnet-imagenet": (35, 33, 3),
    "resnet-bottleneck": (35, 33, 3),
}
# weights that start near 0, so that untrained answers are all but equal, and rounding decides their order
UNEQUAL = ("objectness_conv", "class_logits")
KINDS = {"faster_rcnn-masks": "instance_segmentation"}  # where it is not the family's first
SLOW = {"pretrained", "resnet-bottleneck", "resnet-a", "resnet-imagenet", "autoencoder-places"}
SLOW |= {"faster_rcnn", "faster_rcnn-masks", "deeplab", "deeplab-backbone", "fcn-32s", "fcn-backbone"}
SLOW |= {"unet-strided", "unet-backbone", "unet-pretrained", "ssd", "ssd-plain"}


def read_settings(values):
    return pydantic.TypeAdapter(FamilySettings).validate_python(values)


class Case:
    """A family's settings, for one kind of task that it does."""

    def __init__(self, name):
        self.values = CASES[name]
        self.settings = read_settings(self.values)
        self.shape = SHAPES.get(name, IMAGE)
        kind = {"kind": KINDS.get(name, self.settings.tasks[0])}
        self.task = make_task(pydantic.TypeAdapter(TaskSettings).validate_python(kind), CLASSES)

    def make(self):
        """A model whose batch statistics are not those it starts with."""
        keras.utils.set_random_seed(7)
        model = build_model(self.settings, self.shape, self.task.model_arguments())
        for weight in model.trainable_weights:
            if weight.path.startswith(UNEQUAL):
                weight.assign(weight * 100)
        model(self.images(8), training=True)
        return model

    def images(self, count=5):
        return np.random.default_rng(3).random((count, *self.shape), dtype=np.float32)

    def batch(self, count=8):
        """What the task gives to training."""
        images = self.images(count)
        kinds = np.arange(count, dtype=np.int32) % len(CLASSES)
        low, size = np.random.default_rng(5).uniform([[[0]], [[5]]], [[[4]], [[13]]], (2, count, 2))
        boxes = np.stack([np.hstack([low, low + size]), -np.ones((count, 4))], 1).astype(np.float32)
        return self.task.inputs_and_targets(
            {
                "images": tf.constant(images),
                "labels": np.eye(len(CLASSES), dtype=np.float32)[kinds],
                "bounding_boxes": {"boxes": boxes, "labels": np.stack([kinds, np.full_like(kinds, -1)], 1)},
                **self.masks(boxes[:, 0]),
            },
            [1, 2],
        )

    def masks(self, boxes):
        """Maps of what fills the box of each image's first object, for the tasks that need them."""
        if self.task.settings.kind == "segmentation":
            return {"segmentation_masks": tf.constant(self.class_maps(), tf.uint8)}
        if self.task.settings.kind != "instance_segmentation":
            return {}
        rows, columns = np.indices(self.shape[:2])
        left, top, right, bottom = (side[:, np.newaxis, np.newaxis] for side in boxes.T)
        inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
        return {"segmentation_masks": tf.constant(np.where(inside, FIRST, 0)[..., np.newaxis], tf.int32)}

    def class_maps(self):
        """In quarters: two classes, which change from image to image, one, and void."""
        rows, columns = np.indices(self.shape[:2])
        quarters = rows * 2 // self.shape[0] * 2 + columns * 2 // self.shape[1]
        count = np.arange(8)
        values = [count % len(CLASSES), (count + 1) % len(CLASSES), 0 * count, 0 * count + 255]
        return np.stack(values, 1)[:, quarters, np.newaxis]

    def comparable(self, outputs):
        """Without what hangs on which regions are proposed: where scores are close, rounding decides."""
        if not isinstance(outputs, dict) or "proposals" not in outputs:
            return outputs
        hanging = ("proposals", "class_logits", "box_offsets", "mask_logits")
        return {name: value for name, value in outputs.items() if name not in hanging}


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


def parameters_of(family):
    return [
        parameter
        for name, parameter in inspect.signature(family.__init__).parameters.items()
        if name != "self" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]


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
        keras.optimizers.Adam(0.004), loss=case.task.loss(), metrics=case.task.metrics(), run_eagerly=True
    )
    inputs, targets = case.batch()
    before = [weights.numpy() for weights in model.trainable_weights]
    losses = [model.train_on_batch(inputs, targets)[0] for _ in range(15)]
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


# === settings ===


@pytest.mark.parametrize("name", FAMILIES)
def test_settings_agree_with_the_class(name):
    settings = _settings_of(name)
    fields = {key: field for key, field in settings.model_fields.items() if key != "family"}
    parameters = {parameter.name: parameter for parameter in parameters_of(_class_of(name))}
    for kind in settings.tasks:
        task = pydantic.TypeAdapter(TaskSettings).validate_python({"kind": kind})
        arguments = make_task(task, CLASSES).model_arguments()
        assert list(parameters) == ["image_shape", *arguments, *fields]
    for key, field in fields.items():
        if field.is_required():
            assert parameters[key].default is inspect.Parameter.empty, key
            continue
        assert _plain(parameters[key].default) == _plain(field.get_default(call_default_factory=True)), key
        assert type(_plain(parameters[key].default)) is type(_plain(field.default)), key


@pytest.mark.parametrize("name", CASES)
def test_settings_come_back_from_json_as_they_are(name):
    """A stage in a process of its own is given all of them, also those that nobody has set."""
    settings = read_settings(CASES[name])
    assert read_settings(settings.model_dump(mode="json", by_alias=True)) == settings


def test_every_family_is_in_the_union_and_tested():
    assert set(FAMILIES) == {_family_of(arm) for arm in _arms()}
    assert set(FAMILIES) == {case["family"] for case in CASES.values()}
    assert set(SHAPES) | SLOW <= set(CASES)
    assert {name for kind in TASKS for name in families(kind)} == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_settings_import_nothing_heavy(name):
    module = inspect.getsource(importlib.import_module(_settings_of(name).__module__))
    imported = {
        line.split()[1].split(".")[0] for line in module.splitlines() if line[:5] in ("impor", "from ")
    }
    assert imported <= {"typing", "pydantic", "conveyor"}


@pytest.mark.parametrize("values", [{"family": "linear", "units": [8]}, {"family": "perceptron"}, {}])
def test_unknown_families_and_settings_are_refused(values):
    with pytest.raises(pydantic.ValidationError):
        read_settings(values)


def _arms():
    return typing.get_args(typing.get_args(FamilySettings)[0])


def _family_of(settings):
    return typing.get_args(settings.model_fields["family"].annotation)[0]


def _settings_of(name):
    return next(arm for arm in _arms() if _family_of(arm) == name)


def _class_of(name):
    module, _, attribute = FAMILIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _plain(value):
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump()
    return list(value) if isinstance(value, tuple | list) else value
