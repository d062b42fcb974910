import keras
import numpy as np
import pytest
import scipy.interpolate
import tensorflow as tf

from conveyor.models.layers.grid_generator import TRANSFORMS, GridGenerator, identity, regular_points


def generate(parameters, size=(4, 6), **arguments):
    parameters = np.atleast_2d(np.asarray(parameters, np.float32))
    return GridGenerator(size, **arguments)(parameters).numpy()


@pytest.mark.parametrize("size", [(4, 6), (1, 5), (7, 3)])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_identity_looks_at_each_pixels_own_place(transform, size):
    grid = generate([identity(transform, 3)] * 2, size, transform=transform, control_points=3)
    assert grid.shape == (2, *size, 2)
    assert grid.dtype == np.float32
    np.testing.assert_allclose(grid[1].reshape(-1, 2), regular_points(*size), atol=1e-5)


def test_coordinates_are_x_and_y_of_the_centres_of_pixels():
    grid = generate(identity("affine"), (2, 3))[0]
    expected = [[[-1, -1], [0, -1], [1, -1]], [[-1, 1], [0, 1], [1, 1]]]
    np.testing.assert_allclose(grid, expected, atol=1e-6)


def test_affine_by_hand():
    # a quarter turn, half the size, moved to the right
    grid = generate([0, -0.5, 0.25, 0.5, 0, 0], (2, 2))[0]
    np.testing.assert_allclose(grid[0, 0], [0.5 + 0.25, -0.5])
    np.testing.assert_allclose(grid[1, 0], [-0.5 + 0.25, -0.5])


def test_projective_by_hand_and_as_affine():
    affine = [1.1, 0.2, -0.1, 0.3, 0.9, 0.05]
    np.testing.assert_allclose(generate([*affine, 0, 0], transform="projective"), generate(affine), atol=1e-6)
    grid = generate([1, 0, 0, 0, 1, 0, 0.5, 0], (1, 2), transform="projective")[0, 0]
    np.testing.assert_allclose(grid, [[-1 / 0.5, 0], [1 / 1.5, 0]], atol=1e-6)


def test_what_is_behind_the_viewer_is_outside_with_gradients_that_are_numbers():
    parameters = tf.constant([[1.0, 0, 0, 0, 1, 0, -1, 0], [1, 0, 0, 0, 1, 0, -2, 0]])  # at, and behind
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        grid = GridGenerator((1, 3), "projective")(parameters)
        total = tf.reduce_sum(grid)
    np.testing.assert_array_equal(grid[:, 0, 2], [[3, 3], [3, 3]])
    assert np.isfinite(tape.gradient(total, parameters)).all()


@pytest.mark.parametrize("side", [2, 3, 5])
def test_spline_agrees_with_scipy(side):
    targets = np.random.default_rng(side).normal(size=(side * side, 2))
    control = regular_points(side, side)
    spline = scipy.interpolate.RBFInterpolator(control, targets, kernel="thin_plate_spline")
    grid = generate(targets.ravel(), (6, 9), transform="thin_plate_spline", control_points=side)
    np.testing.assert_allclose(grid.reshape(-1, 2), spline(regular_points(6, 9)), atol=1e-4)


def test_spline_passes_through_its_control_points():
    targets = np.random.default_rng(1).normal(size=(16, 2)).astype(np.float32)
    grid = generate(targets.ravel(), (4, 4), transform="thin_plate_spline")
    np.testing.assert_allclose(grid.reshape(16, 2), targets, atol=1e-5)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_compiled_and_of_any_number(transform):
    layer = GridGenerator((3, 4), transform)
    start = identity(transform)
    call = tf.function(
        layer, input_signature=[tf.TensorSpec([None, len(start)])], jit_compile=True, reduce_retracing=True
    )
    for count in (1, 3):
        moved = np.tile(start, (count, 1)) + 0.01
        np.testing.assert_allclose(call(moved), layer(moved), atol=1e-5)


def test_full_precision_under_any_policy_and_config_round_trip():
    layer = GridGenerator((3, 4), "projective", dtype="mixed_bfloat16")
    assert layer(np.zeros((1, 8), np.float32)).dtype == tf.float32
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
