"""Effective receptive fields, worked by hand and as the paper says that they behave."""

import keras
import numpy as np
import pytest
from keras import layers

from conveyor.models.describe.effective import effective_fields
from conveyor.models.describe.graph import walk


def chain(side, *convolutions):
    return keras.Sequential([keras.Input((side, side, 1)), *convolutions])


def measure(model, most=12):
    steps = walk(model).steps
    return {steps[index].name: sides for index, sides in effective_fields(steps, 1, most).items()}


def test_even_weights_need_95_percent_of_the_pixels():
    model = chain(99, layers.Conv2D(1, 41, name="even", kernel_initializer="ones"))
    assert measure(model) == {"even": (39, 39)}  # 38/41 is 92.7%, 39/41 is 95.1%


def test_a_weight_of_one_needs_a_pixel():
    kernel = np.zeros((7, 7, 1, 1), np.float32)
    kernel[3, 5] = 1
    kernel[3, 6] = 0.1  # a hundredth of the squared gradient
    model = chain(31, layers.Conv2D(1, 7, use_bias=False, name="spot"))
    model.set_weights([kernel])
    assert measure(model) == {"spot": (1, 1)}


def test_sides_are_measured_apart():
    model = chain(41, layers.Conv2D(2, (1, 9), name="wide", kernel_initializer="ones"))
    assert measure(model) == {"wide": (1, 9)}


def test_field_grows_as_the_root_of_the_depth():
    """Source: Luo et al. 2016, section 2.2: n even kernels see n, and depend on about the root of n."""
    even = {"padding": "same", "use_bias": False, "kernel_initializer": keras.initializers.Constant(1 / 9)}
    model = chain(75, *(layers.Conv2D(1, 3, name=f"conv_{i}", **even) for i in range(1, 33)))
    found = measure(model, most=4)
    assert list(found) == ["conv_8", "conv_16", "conv_24", "conv_32"]
    for depth in (8, 32):
        deviation = np.sqrt(depth * 2 / 3 / 2)  # squaring a bell makes it narrower by the root of 2
        assert found[f"conv_{depth}"][0] == pytest.approx(2 * 1.96 * deviation, abs=1.5)


def test_only_so_many_layers_are_measured_and_the_last_is_one():
    model = chain(40, *(layers.Conv2D(1, 3, name=f"conv_{i}") for i in range(10)))
    assert list(measure(model, most=3)) == ["conv_1", "conv_5", "conv_9"]


@pytest.mark.parametrize("shape", [(8,), (None, None, 1)])
def test_nothing_is_measured_without_an_image_of_known_size(shape):
    image = keras.Input(shape)
    layer = layers.Dense(2) if shape == (8,) else layers.Conv2D(2, 3)
    assert measure(keras.Model(image, layer(image))) == {}


@pytest.mark.parametrize("weight", [0.0, np.inf])
def test_features_without_a_usable_gradient_are_left_out(weight):
    kernel = keras.initializers.Constant(weight)
    assert measure(chain(9, layers.Conv2D(1, 3, name="dead", kernel_initializer=kernel))) == {}
