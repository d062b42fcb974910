"""Parameter counts are the papers', as torchvision and akamaster/pytorch_resnet_cifar10 list them."""

import collections
import math

import keras
import numpy as np
import pydantic
import pytest

from conveyor.models.resnet.resnet import ResNet
from conveyor.models.resnet.settings import ResNetSettings


def trainable(model):
    return sum(math.prod(weights.shape) for weights in model.trainable_weights)


@pytest.mark.parametrize(("depth", "parameters"), [(20, 269_722), (32, 464_154)])
def test_cifar_networks_have_the_papers_parameters(depth, parameters):
    assert trainable(ResNet((32, 32, 3), 10, depth=depth, shortcut="A")) == parameters


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [
        (18, 11_689_512),
        pytest.param(34, 21_797_672, marks=pytest.mark.slow),
        pytest.param(101, 44_549_160, marks=pytest.mark.slow),
    ],
)
def test_imagenet_networks_have_the_papers_parameters(depth, parameters):
    assert trainable(ResNet((224, 224, 3), 1000, depth=depth, stem="imagenet")) == parameters


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "oracle"), [(1, keras.applications.ResNet50), (2, keras.applications.ResNet50V2)]
)
def test_resnet50_has_the_weights_of_keras_but_its_offsets(version, oracle):
    model = ResNet((224, 224, 3), 1000, depth=50, stem="imagenet", version=version)
    other = oracle(weights=None)
    kernels, expected = (
        collections.Counter(tuple(weights.shape) for weights in network.weights if len(weights.shape) > 1)
        for network in (model, other)
    )
    assert kernels == expected
    convolutions = [layer for layer in other.layers if isinstance(layer, keras.layers.Conv2D)]
    offsets = sum(layer.bias.shape[0] for layer in convolutions if layer.use_bias)
    assert model.count_params() == other.count_params() - offsets


def test_stride_of_a_bottleneck_is_in_its_3x3():
    model = ResNet((64, 64, 3), 2, depth=50, stem="imagenet", width=2)
    convolutions = [model.get_layer(f"block_2_1_{number}_conv") for number in (1, 2, 3)]
    assert [(conv.kernel_size[0], conv.strides[0]) for conv in convolutions] == [(1, 1), (3, 2), (1, 1)]


def test_shortcut_a_takes_each_second_pixel_and_pads_channels():
    model = ResNet((8, 8, 2), 2, depth=8, width=2, shortcut="A")
    block = keras.Model(model.inputs, [model.get_layer(f"block_{n}_relu").output for n in ("1_1", "2_1")])
    before, after = block(np.random.default_rng(0).random((3, 8, 8, 2), dtype=np.float32))
    # zero gammas: the sum is the shortcut alone, and it is not negative
    assert before.numpy().max() > 0
    np.testing.assert_array_equal(after[..., 1:3], before[:, ::2, ::2])
    assert not after.numpy()[..., [0, 3]].any()


def test_blocks_start_as_the_identity_if_asked():
    images = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
    for zero, same in ((True, True), (False, False)):
        model = ResNet((8, 8, 3), 2, depth=8, width=4, zero_gamma=zero)
        outputs = [model.get_layer(name).output for name in ("stem_relu", "block_1_1_relu")]
        before, after = keras.Model(model.inputs, outputs)(images)
        assert np.allclose(before, after) is same


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("kind", "mixes"), [("batch", True), ("group", False), ("layer", False)])
def test_only_batch_normalization_mixes_the_images_of_a_batch(version, kind, mixes):
    images = np.random.default_rng(0).random((4, 8, 8, 3), dtype=np.float32)
    model = ResNet((8, 8, 3), 2, depth=8, width=4, version=version, zero_gamma=False, normalization=kind)
    alone, among = model(images[:1], training=True), model(images, training=True)[:1]
    assert np.allclose(alone, among, rtol=0, atol=1e-5) is not mixes
    assert any("moving_mean" in weights.path for weights in model.weights) is mixes


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("stem", "depth", "side", "maps"), [("cifar", 14, 32, (8, 8, 64)), ("imagenet", 18, 64, (2, 2, 512))]
)
def test_last_maps_are_what_the_backbone_gives(version, stem, depth, side, maps):
    model = ResNet((side, side, 3), 2, depth=depth, stem=stem, version=version)
    assert model.backbone().output_shape == (None, *maps)


@pytest.mark.parametrize(("stem", "least"), [("cifar", 4), ("imagenet", 32)])
def test_image_smaller_than_the_reduction_is_an_error(stem, least):
    depth = {"cifar": 8, "imagenet": 18}[stem]
    ResNet((least, least, 1), 2, depth=depth, stem=stem, width=2)
    with pytest.raises(ValueError, match=f"at least {least} pixels a side"):
        ResNet((least + 9, least - 1, 1), 2, depth=depth, stem=stem, width=2)


@pytest.mark.parametrize(
    "values",
    [
        {"depth": 21},
        {"depth": 2},
        {"depth": 20, "stem": "imagenet"},
        {"version": 3},
        {"shortcut": "C"},
        {"width": 0},
    ],
)
def test_settings_that_make_no_network_are_refused(values):
    with pytest.raises(pydantic.ValidationError):
        ResNetSettings(family="resnet", **values)
