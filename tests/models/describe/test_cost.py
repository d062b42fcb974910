"""FLOPs, against TensorFlow's own count of the same graph."""

import keras
import pytest
import tensorflow as tf
from keras import layers

from conveyor.models.describe.cost import dense_parameters, flops, parameters
from conveyor.models.describe.graph import walk


def by_profiler(model):
    """Returns the operations that TensorFlow counts in convolutions and products of matrices."""
    spec = tf.TensorSpec((1, *model.inputs[0].shape[1:]), tf.float32)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options |= {"output": "none", "account_type_regexes": [".*Conv.*", "MatMul"]}
    profile = tf.compat.v1.profiler.profile(graph, options=options)
    return sum(node.total_float_ops for node in profile.children)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(6, 3, strides=2, padding="same"),
        layers.Conv2D(6, (1, 3)),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.SeparableConv2D(6, 3, depth_multiplier=2, use_bias=False),
        layers.Dense(5),
    ],
    ids=lambda layer: layer.name,
)
def test_operations_are_those_that_tensorflow_counts(layer):
    image = keras.Input((11, 13, 4))
    model = keras.Model(image, layer(image))
    counted = sum(flops(step) for step in walk(model).steps)
    assert counted == by_profiler(model)


def test_worked_by_hand_in_other_dimensions():
    line, box, image = keras.Input((10, 3)), keras.Input((4, 5, 6, 2)), keras.Input((9, 9, 4))
    steps = [
        walk(keras.Model(line, layers.Conv1D(4, 3)(line))).steps[1],
        walk(keras.Model(line, layers.Conv1DTranspose(4, 3, strides=2)(line))).steps[1],
        walk(keras.Model(box, layers.Conv3D(7, 2)(box))).steps[1],
        walk(keras.Model(image, layers.Conv2D(6, 3, groups=2)(image))).steps[1],
        walk(keras.Model(image, layers.Conv2D(6, 3, dilation_rate=2)(image))).steps[1],
        walk(keras.Model(line, layers.MaxPooling1D(2)(line))).steps[1],
        walk(keras.Model(line, layers.LayerNormalization()(line))).steps[1],
    ]
    assert [flops(step) for step in steps] == [
        2 * 8 * 3 * 3 * 4,
        2 * 10 * 3 * 3 * 4,  # every input place is multiplied by the whole kernel
        2 * 3 * 4 * 5 * 8 * 2 * 7,
        2 * 7 * 7 * 9 * 2 * 6,  # a filter reads the channels of its group
        2 * 5 * 5 * 9 * 4 * 6,
        5 * 3 * 2,
        0,
    ]
    assert [parameters(step.layer) for step in steps] == [40, 40, 119, 114, 222, 0, 6]
    assert [dense_parameters(step) for step in steps] == [
        30 * 32 + 32,
        30 * 84 + 84,
        240 * 420 + 420,
        324 * 294 + 294,
        324 * 150 + 150,
        None,
        None,
    ]


def test_unknown_use_of_weights_is_not_counted_as_nothing():
    line = keras.Input((10, 8))
    steps = walk(keras.Model(line, layers.MultiHeadAttention(2, 4)(line, line))).steps
    assert flops(steps[1]) is None
    assert parameters(steps[1].layer) > 0
