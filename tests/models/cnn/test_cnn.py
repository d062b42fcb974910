import keras
import numpy as np
import pydantic
import pytest

from conveyor.models.cnn.cnn import CNN
from conveyor.models.cnn.settings import CNNSettings
from conveyor.pipeline.config import parse_config
from conveyor.pipeline.errors import UserError


def shapes(model):
    return {layer.name: layer.output.shape[1:] for layer in model.layers}


def test_strides_are_of_the_first_convolution_of_a_block():
    model = CNN((16, 12, 1), 2, filters=[3, 5], convolutions=2, strides=2, pool_size=1)
    assert [model.get_layer(name).strides for name in ("conv_1_1", "conv_1_2", "conv_2_1")] == [
        (2, 2),
        (1, 1),
        (2, 2),
    ]
    assert shapes(model)["conv_2_2"] == (4, 3, 5)


def test_dilated_kernel_sees_two_pixels_away():
    model = CNN((9, 9, 1), 2, filters=[1], dilation=2, pool_size=1, dense=0)
    conv = model.get_layer("conv_1_1")
    conv.set_weights([np.ones((3, 3, 1, 1)), np.zeros(1)])
    spot = np.zeros((1, 9, 9, 1), np.float32)
    spot[0, 4, 4] = 1
    rows, columns = np.nonzero(conv(spot).numpy()[0, :, :, 0])
    assert sorted(set(zip(rows.tolist(), columns.tolist(), strict=True))) == [
        (row, column) for row in (2, 4, 6) for column in (2, 4, 6)
    ]


@pytest.mark.parametrize(
    ("image_shape", "conv", "kernel"),
    [((12, 2), keras.layers.Conv1D, (3, 2, 4)), ((6, 7, 8, 2), keras.layers.Conv3D, (3, 3, 3, 2, 4))],
)
def test_convolutions_have_the_dimensions_of_the_image(image_shape, conv, kernel):
    model = CNN(image_shape, 3, filters=[4])
    assert isinstance(model.get_layer("conv_1_1"), conv)
    assert model.get_layer("conv_1_1").kernel.shape == kernel
    assert model.get_layer("pool_1").output.shape[1:-1] == tuple(side // 2 for side in image_shape[:-1])


def test_separable_convolution_has_a_kernel_a_channel_and_one_across():
    model = CNN((8, 8, 5), 2, filters=[7], separable=True, dense=0)
    assert model.get_layer("conv_1_1").count_params() == 3 * 3 * 5 + 5 * 7 + 7


def test_offset_is_left_to_the_normalisation():
    normed = CNN((8, 8, 1), 2, filters=[48], normalization="group")
    assert not normed.get_layer("conv_1_1").use_bias
    assert normed.get_layer("norm_1_1").groups == 16  # of 3 channels
    assert CNN((8, 8, 1), 2).get_layer("conv_1_1").use_bias


def test_global_average_makes_the_parameters_independent_of_the_size():
    small, large = (CNN((side, side, 1), 2, head="global_average", dense=0) for side in (8, 24))
    assert small.count_params() == large.count_params()
    assert large.backbone().output_shape == (None, 6, 6, 64)


def test_penalties_are_added_to_the_loss():
    model = CNN((4, 4, 1), 2, filters=[1], dense=0, l1=0.5, l2=0.25)
    kernels = [weights for weights in model.weights if weights.path.endswith("kernel")]
    for weights in kernels:
        weights.assign(np.full(weights.shape, -2.0))
    count = sum(weights.numpy().size for weights in kernels)
    assert float(sum(model.losses)) == pytest.approx(count * (0.5 * 2 + 0.25 * 4))


# === explicit lists ===


def test_list_of_layers_is_built_in_its_order_and_flattened_at_the_end():
    layers = [{"conv": {"filters": 2}}, {"norm": "batch"}, {"activation": "elu"}, {"pool": {"size": 2}}]
    settings = CNNSettings(family="cnn", layers=layers)
    model = CNN((6, 6, 1), 3, **settings.model_dump(exclude={"family"}))
    assert [layer.name for layer in model.layers] == [
        "image",
        "conv_1",
        "norm_1",
        "activation_1",
        "pool_1",
        "flatten",
        "logits",
    ]
    assert not model.get_layer("conv_1").use_bias
    assert model.features_layer == "pool_1"


def test_list_that_says_its_head_gets_no_other():
    layers = [{"conv": {"filters": 2}}, {"head": "global_average"}, {"dense": 4}]
    settings = CNNSettings(family="cnn", layers=layers, activation="tanh")
    model = CNN((6, 6, 1), 3, **settings.model_dump(exclude={"family"}))
    assert [layer.name for layer in model.layers] == ["image", "conv_1", "head_1", "dense_1", "logits"]
    assert model.get_layer("dense_1").activation is keras.activations.tanh


def test_list_of_dense_layers_works_on_the_pixels():
    model = CNN((6, 6, 1), 3, layers=[{"dense": 4}])
    assert model.backbone().output_shape == (None, 6, 6, 1)


def test_misspelt_layer_is_told_with_a_close_match():
    text = "family: cnn\nlayers:\n  - {conv: {filters: 4}}\n  - {dens: 8}\n"
    with pytest.raises(UserError, match=r"unknown key 'layers\.1\.dens'") as caught:
        parse_config(text, "cnn.yaml", CNNSettings)
    assert "dense" in caught.value.fix
    assert "line 4" in caught.value.where


@pytest.mark.parametrize(
    "values",
    [
        {"filters": []},
        {"filters": [0]},
        {"padding": "full"},
        {"dropout": 1.0},
        {"pool_size": 0},
        {"normalization": "instance"},
        {"l2": -1},
        {"layers": []},
        {"layers": [{}]},
        {"layers": [{"conv": None}]},
        {"layers": [{"conv": {"filters": 3}, "norm": "batch"}]},
        {"layers": [{"conv": {"filter": 3}}]},
        {"layers": [{"dense": 3}], "filters": [3]},
    ],
)
def test_settings_that_make_no_network_are_refused(values):
    with pytest.raises(pydantic.ValidationError):
        CNNSettings(family="cnn", **values)


@pytest.mark.parametrize(
    ("image_shape", "arguments"),
    [
        ((8, 10, 1), {"filters": [2] * 4}),
        ((8, 10, 1), {"filters": [2, 2], "padding": "valid", "kernel_size": 7}),
        ((8, 10, 1), {"filters": [2], "pool_size": 9}),
        ((8, 10, 1), {"layers": [{"dense": 3}, {"conv": {"filters": 2, "kernel_size": 3}}]}),
        ((8, 8, 8, 1), {"separable": True}),
        ((8,), {}),
    ],
)
def test_network_that_does_not_fit_the_image_is_an_error(image_shape, arguments):
    with pytest.raises(ValueError, match=r"output size|expected|incompatible"):
        CNN(image_shape, 2, **arguments)


def test_smallest_image_that_fits():
    model = CNN((8, 8, 1), 2, filters=[2] * 3)
    assert model.get_layer("pool_3").output.shape == (None, 1, 1, 2)
