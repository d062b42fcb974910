import json

import keras
import numpy as np
import pytest

from conveyor.models.layer_table import layer_table

COLUMNS = [
    "layer",
    "type",
    "output",
    "parameters",
    "dense_parameters",
    "flops",
    "kernel",
    "stride",
    "padding",
]
COLUMNS += ["dilation", "jump", "receptive_field", "effective_field"]
SHOWN = ("layer", "type", "output", "parameters", "flops", "kernel", "stride", "receptive_field")


def rows(model, columns=SHOWN):
    table = layer_table(model)
    assert all(list(row) == COLUMNS for row in table)
    return [tuple(row[column] for column in columns) for row in table]


def cnn(shape, filters, convolutions=1, kernel_size=3, padding="same", pool_size=2, norm=False, dense=0):
    """A chain of blocks, each of convolutions and a pooling."""
    layers = keras.layers
    x = inputs = keras.Input(shape, name="image")
    for block, count in enumerate(filters, 1):
        for number in range(1, convolutions + 1):
            name = f"{block}_{number}"
            x = layers.Conv2D(count, kernel_size, padding=padding, use_bias=not norm, name=f"conv_{name}")(x)
            x = layers.BatchNormalization(name=f"norm_{name}")(x) if norm else x
            x = layers.ReLU(name=f"relu_{name}")(x)
        x = layers.MaxPooling2D(pool_size, name=f"pool_{block}")(x) if pool_size > 1 else x
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense, name="dense")(x) if dense else x
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def test_valid_padding_pooling_and_batch_norm_worked_by_hand():
    model = cnn((10, 12, 3), [2, 5], padding="valid", norm=True, dense=6)
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
        ("flatten", "Flatten", "5", 0, 0, None, None, [10, 12]),  # sees all from here on
        # 5*6 weights and 6 biases; 2 operations a weight.
        ("dense", "Dense", "6", 36, 60, None, None, [10, 12]),
        ("logits", "Dense", "4", 28, 48, None, None, [10, 12]),
    ]
    # fmt: on


def test_same_padding_and_stacked_convolutions_worked_by_hand():
    model = cnn((9, 9, 1), [2, 4], convolutions=2, kernel_size=5, pool_size=3)
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
        # 4*4 + 4. 2 * 16.
        ("logits", "Dense", "4", 20, 32, None, None, 9),
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
    assert rows(model)[1:] == [
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
        ("mean", "GlobalAveragePooling2D", "5", 0, 0, None, None, 20),
    ]
    assert rows(model, ("padding", "dilation", "jump", "dense_parameters"))[1:] == [
        # 20*20*2 inputs, 16*16*4 outputs, and a bias for each of these
        ("valid", 2, 1, 800 * 1024 + 1024),
        ("valid", 1, 2, 1024 * 147 + 147),
        ("valid", 1, 4, None),
        ("valid", 1, 8, 27 * 20 + 20),
        ("same", 1, 8, 20 * 20 + 20),
        (None, None, None, None),
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"filters": [1]},
        {"filters": [1, 1]},
        {"filters": [1, 1], "kernel_size": 3, "padding": "valid"},
        {"filters": [1], "convolutions": 3, "kernel_size": 5, "pool_size": 1},
        {"filters": [1, 1], "convolutions": 2, "kernel_size": 3, "pool_size": 3},
        {"filters": [1, 1, 1], "kernel_size": 3},
    ],
)
def test_field_is_the_span_of_pixels_that_change_an_output(settings):
    side = 44
    model = cnn((side, side, 1), **settings)
    for weights in model.weights:
        weights.assign(np.ones(weights.shape) if "kernel" in weights.path else np.zeros(weights.shape))
    # one image for each pixel of the middle row, black but for that pixel
    impulses = np.zeros((side, side, side, 1), np.float32)
    impulses[np.arange(side), side // 2, np.arange(side)] = 1
    expected = {row["layer"]: row["receptive_field"] for row in layer_table(model)}
    layers = [layer for layer in model.layers[1:] if len(layer.output.shape) == 4]
    outputs = keras.Model(model.inputs[0], {layer.name: layer.output for layer in layers})(impulses)
    for name, found in outputs.items():
        seen = np.flatnonzero(found.numpy()[:, :, found.shape[2] // 2].any(axis=(1, 2)))
        assert seen[-1] - seen[0] + 1 == expected[name], name


def test_totals_are_those_of_keras_and_rows_are_json():
    model = cnn((16, 16, 3), [8, 8], convolutions=2, norm=True, dense=5)
    table = layer_table(model)
    assert sum(row["parameters"] for row in table) == model.count_params()
    assert json.loads(json.dumps(table)) == table


def test_shared_layers_are_counted_once_and_nested_models_opened():
    shared = keras.layers.Conv2D(2, 3, padding="same", name="shared")
    inner = keras.Sequential([keras.Input((8, 8, 2)), shared, keras.layers.ReLU(name="relu")], name="inner")
    image = keras.Input((8, 8, 2), name="image")
    model = keras.Model(image, inner(inner(image)))
    table = [(row["layer"], row["parameters"], row["receptive_field"]) for row in layer_table(model)]
    assert table == [
        ("image", 0, 1),
        ("inner/shared", 38, 3),
        ("inner/relu", 0, 3),
        ("inner/shared", 0, 5),
        ("inner/relu", 0, 5),
    ]


def test_sides_that_differ_are_told_apart():
    even = {"kernel_initializer": "ones"}  # so that each pixel of a window counts
    model = keras.Sequential(
        [
            keras.Input((20, 30, 1)),
            keras.layers.Conv2D(2, (1, 5), strides=(1, 2), padding="same", **even, name="wide"),
            keras.layers.ZeroPadding2D(((1, 0), (2, 3))),
            keras.layers.Conv2D(2, (3, 1), **even, name="tall"),
        ]
    )
    columns = ("kernel", "stride", "jump", "receptive_field", "effective_field", "output")
    found = rows(model, columns)
    assert found[1] == ([1, 5], [1, 2], [1, 2], [1, 5], [1, 5], "20x15x2")
    assert found[3] == ([3, 1], 1, [1, 2], [3, 5], [3, 5], "19x20x2")


def test_table_does_not_depend_on_chance():
    model = cnn((20, 20, 1), [4, 4])
    assert layer_table(model) == layer_table(model)


def test_images_of_any_size():
    model = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, strides=2, name="conv")]
    )
    assert rows(model)[1] == ("conv", "Conv2D", "?x?x4", 112, None, 3, 2, 3)


def test_what_is_no_graph_is_refused():
    class Custom(keras.Model):
        pass

    with pytest.raises(ValueError, match="expected a functional"):
        layer_table(Custom(name="own"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "millions", "field"),
    [
        # multiplications and additions of the papers; fields of Araujo et al. 2019, table 1
        ("MobileNet", 224, 569, 315),
        ("ResNet50", 224, 3860, 483),
        ("InceptionV3", 299, 5720, 1311),
    ],
)
def test_published_models(name, size, millions, field):
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    table = layer_table(model)
    assert sum(row["parameters"] for row in table) == model.count_params()
    counted = sum(row["flops"] for row in table if "Pooling" not in row["type"])
    assert counted == pytest.approx(2e6 * millions, rel=0.01)
    assert [row["receptive_field"] for row in table if row["jump"]][-1] == field
