import json

import keras
import numpy as np
import pytest

from conveyor.models.cnn.cnn import CNN
from conveyor.models.layer_table import layer_table
from conveyor.models.linear.linear import Linear

COLUMNS = ["layer", "type", "output", "parameters", "flops", "kernel", "stride", "receptive_field"]


def rows(model):
    table = layer_table(model)
    assert all(list(row) == COLUMNS for row in table)
    return [tuple(row.values()) for row in table]


def test_valid_padding_pooling_and_batch_norm_worked_by_hand():
    model = CNN((10, 12, 3), 4, filters=[2, 5], padding="valid", batch_norm=True, dense=6, dropout=0.5)
    # fmt: off
    assert rows(model) == [
        ("image", "InputLayer", "10x12x3", 0, 0, None, None, 1),
        # 3x3 without padding: 10-2 x 12-2. 3*3*3*2 weights, no bias before normalisation.
        # 2 operations x 8*10 positions x 54 weights. Field 1 + (3-1)*1.
        ("conv_1_1", "Conv2D", "8x10x2", 54, 8640, 3, 1, 3),
        # gamma, beta, moving mean and variance of 2 channels.
        ("norm_1_1", "BatchNormalization", "8x10x2", 8, 0, None, None, 3),
        ("relu_1_1", "ReLU", "8x10x2", 0, 0, None, None, 3),
        # 4*5*2 outputs x 2*2 comparisons. Field 3 + (2-1)*1; from here a step is 2 pixels.
        ("pool_1", "MaxPooling2D", "4x5x2", 0, 160, 2, 2, 4),
        # 4-2 x 5-2. 3*3*2*5 = 90 weights. 2 * 2*3 * 90. Field 4 + (3-1)*2.
        ("conv_2_1", "Conv2D", "2x3x5", 90, 1080, 3, 1, 8),
        ("norm_2_1", "BatchNormalization", "2x3x5", 20, 0, None, None, 8),
        ("relu_2_1", "ReLU", "2x3x5", 0, 0, None, None, 8),
        # a side of 3 holds one window of 2. 1*1*5 * 2*2. Field 8 + (2-1)*2.
        ("pool_2", "MaxPooling2D", "1x1x5", 0, 20, 2, 2, 10),
        ("flatten", "Flatten", "5", 0, 0, None, None, None),
        ("dropout_1", "Dropout", "5", 0, 0, None, None, None),
        # 5*6 weights and 6 biases; 2 operations a weight.
        ("dense", "Dense", "6", 36, 60, None, None, None),
        ("dropout_2", "Dropout", "6", 0, 0, None, None, None),
        ("logits", "Dense", "4", 28, 48, None, None, None),
    ]
    # fmt: on


def test_same_padding_and_stacked_convolutions_worked_by_hand():
    model = CNN((9, 9, 1), 3, filters=[2, 4], convolutions=2, kernel_size=5, pool_size=3, dense=0)
    assert [row for row in rows(model) if row[1] in ("Conv2D", "MaxPooling2D", "Dense")] == [
        # 5*5*1*2 weights and 2 biases. 2 * 9*9 * 50 (adding the bias is not counted). 1 + 4*1.
        ("conv_1_1", "Conv2D", "9x9x2", 52, 8100, 5, 1, 5),
        # 5*5*2*2 weights and 2 biases. 2 * 81 * 100. 5 + 4*1: two of 5 see as much as one of 9.
        ("conv_1_2", "Conv2D", "9x9x2", 102, 16200, 5, 1, 9),
        # 3*3*2 outputs * 3*3. 9 + 2*1; from here a step is 3 pixels.
        ("pool_1", "MaxPooling2D", "3x3x2", 0, 162, 3, 3, 11),
        # 5*5*2*4 + 4. 2 * 9 * 200. 11 + 4*3.
        ("conv_2_1", "Conv2D", "3x3x4", 204, 3600, 5, 1, 23),
        # 5*5*4*4 + 4. 2 * 9 * 400. 23 + 4*3.
        ("conv_2_2", "Conv2D", "3x3x4", 404, 7200, 5, 1, 35),
        # 1*1*4 * 3*3. 35 + 2*3.
        ("pool_2", "MaxPooling2D", "1x1x4", 0, 36, 3, 3, 41),
        # 4*3 + 3. 2 * 12.
        ("logits", "Dense", "3", 15, 24, None, None, None),
    ]


def test_dilation_strides_and_global_pooling_worked_by_hand():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((20, 20, 2)),
            layers.Conv2D(4, 3, dilation_rate=2, name="dilated"),
            layers.Conv2D(3, 3, strides=2, name="strided"),
            layers.AveragePooling2D(2, name="pool"),
            layers.Conv2D(5, 1, strides=2, name="pointwise"),
            layers.Conv2D(5, 2, padding="same", name="last"),
            layers.GlobalAveragePooling2D(name="mean"),
        ]
    )
    assert rows(model) == [
        # a kernel of 3 with gaps of 1 covers 5: 20-4. 3*3*2*4 + 4. 2 * 16*16 * 72. 1 + 2*2*1.
        ("dilated", "Conv2D", "16x16x4", 76, 36864, 3, 1, 5),
        # (16-3) // 2 + 1. 3*3*4*3 + 3. 2 * 7*7 * 108. 5 + 2*1; a step is 2 pixels.
        ("strided", "Conv2D", "7x7x3", 111, 10584, 3, 2, 7),
        # 7 // 2. 3*3*3 * 2*2. 7 + 1*2; a step is 4 pixels.
        ("pool", "AveragePooling2D", "3x3x3", 0, 108, 2, 2, 9),
        # (3-1) // 2 + 1. 3*5 + 5. 2 * 2*2 * 15. One pixel sees one; a step is 8 pixels.
        ("pointwise", "Conv2D", "2x2x5", 20, 120, 1, 2, 9),
        # 2*2*5*5 + 5. 2 * 2*2 * 100. 9 + 1*8.
        ("last", "Conv2D", "2x2x5", 105, 800, 2, 1, 17),
        ("mean", "GlobalAveragePooling2D", "5", 0, 0, None, None, None),
    ]


def test_linear_worked_by_hand():
    assert rows(Linear((4, 5, 3), 2)) == [
        ("image", "InputLayer", "4x5x3", 0, 0, None, None, 1),
        ("flatten", "Flatten", "60", 0, 0, None, None, None),
        ("logits", "Dense", "2", 122, 240, None, None, None),
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"filters": [1], "kernel_size": 3},
        {"filters": [1, 1], "kernel_size": 3},
        {"filters": [1, 1], "kernel_size": 3, "padding": "valid"},
        {"filters": [1], "convolutions": 3, "kernel_size": 5, "pool_size": 1},
        {"filters": [1, 1], "convolutions": 2, "kernel_size": 3, "pool_size": 3},
        {"filters": [1, 1, 1], "kernel_size": 3},
    ],
)
def test_field_is_the_span_of_pixels_that_change_an_output(settings):
    side = 44
    model = CNN((side, side, 1), 2, **settings)
    for weights in model.weights:
        weights.assign(np.ones(weights.shape) if "kernel" in weights.path else np.zeros(weights.shape))
    # one image for each pixel of the middle row, black but for that pixel
    impulses = np.zeros((side, side, side, 1), np.float32)
    impulses[np.arange(side), side // 2, np.arange(side)] = 1
    expected = {row["layer"]: row["receptive_field"] for row in layer_table(model)}
    layers = [layer for layer in model.layers[1:] if expected[layer.name] is not None]
    outputs = keras.Model(model.inputs[0], {layer.name: layer.output for layer in layers})(impulses)
    for name, found in outputs.items():
        seen = np.flatnonzero(found.numpy()[:, :, found.shape[2] // 2].any(axis=(1, 2)))
        assert seen[-1] - seen[0] + 1 == expected[name], name


def test_totals_are_those_of_keras_and_rows_are_json():
    model = CNN((16, 16, 3), 10, filters=[8, 8], convolutions=2, batch_norm=True, dropout=0.1)
    table = layer_table(model)
    assert sum(row["parameters"] for row in table) == model.count_params()
    assert json.loads(json.dumps(table)) == table
