import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from conveyor.models.layers.bilinear_sampler import BilinearSampler, sample
from conveyor.models.layers.grid_generator import regular_points

IMAGE = (5, 7, 3)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def pictures(rng, count=4):
    return rng.normal(size=(count, *IMAGE)).astype(np.float32)


def points(rng, count=4, reach=1.6):
    return rng.uniform(-reach, reach, (count, 6, 4, 2)).astype(np.float32)


def oracle(images, grid):
    """SciPy, which counts pixels, and for which beyond the edge is 0 as well."""
    height, width, channels = images.shape[1:]
    result = np.zeros((*grid.shape[:3], channels))
    for n, channel in np.ndindex(len(images), channels):
        where = [(grid[n, ..., 1] + 1) * (height - 1) / 2, (grid[n, ..., 0] + 1) * (width - 1) / 2]
        result[n, ..., channel] = scipy.ndimage.map_coordinates(
            images[n, ..., channel].astype(float), where, order=1, mode="grid-constant"
        )
    return result


def test_agrees_with_scipy_inside_across_and_beyond_the_edge(rng):
    images, grid = pictures(rng), points(rng)
    np.testing.assert_allclose(sample(images, grid), oracle(images, grid), atol=1e-5)


def test_hand_worked_points():
    image = np.array([[0, 10, 20], [30, 40, 50]], np.float32)[None, ..., None]
    grid = np.array(
        [[-1, -1], [1, -1], [0, 1], [-0.5, -1], [0, 0], [2, -1], [1.5, -1], [0, -3]], np.float32
    ).reshape(1, 8, 1, 2)  # the last three: one pixel, half a pixel, and one pixel beyond the edge
    found = sample(image, grid).numpy().ravel()
    np.testing.assert_allclose(found, [0, 20, 40, 5, 25, 0, 10, 0], atol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(5, 7), (1, 1), (9, 13)])
def test_regular_points_of_any_number_show_the_image(rng, rows, columns):
    images = pictures(rng, 2)
    grid = np.broadcast_to(regular_points(rows, columns).reshape(rows, columns, 2), (2, rows, columns, 2))
    found = sample(images, grid).numpy()
    expected = {(5, 7): images, (1, 1): images[:, 2:3, 3:4], (9, 13): found}[rows, columns]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if rows == 9:  # twice as fine: each second one is a pixel
        np.testing.assert_allclose(found[:, ::2, ::2], images, atol=1e-6)


def test_gradients_match_finite_differences(rng):
    images, grid = pictures(rng, 2), points(rng, 2)
    weights = rng.normal(size=(2, 6, 4, 3)).astype(np.float32)

    def total(images, grid):
        return tf.reduce_sum(sample(images, grid) * weights)

    with tf.GradientTape() as tape:
        inputs = tf.constant(images), tf.constant(grid)
        tape.watch(inputs)
        value = total(*inputs)
    by_image, by_grid = (np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(value, inputs))
    # The sampler is linear in the image, so that large steps are exact; the oracle is so in double.
    for place in [(0, 0, 0, 0), (1, 4, 6, 2), (0, 2, 3, 1), (1, 1, 5, 0)]:
        step = np.zeros_like(images)
        step[place] = 1
        change = np.sum((oracle(images + step, grid) - oracle(images, grid)) * weights)
        assert by_image[place] == pytest.approx(change, abs=1e-4)
    exact, step = grid.astype(float), 1e-6
    for axis in (0, 1):
        move = np.zeros_like(exact)
        move[..., axis] = step
        change = (oracle(images, exact + move) - oracle(images, exact - move)) / (2 * step)
        np.testing.assert_allclose(by_grid[..., axis], np.sum(change * weights, axis=-1), atol=1e-3)
    assert np.abs(by_grid).max() > 1


def test_points_that_are_no_numbers_do_not_read_outside_the_image(rng):
    grid = np.zeros((1, 1, 5, 2), np.float32)
    grid[0, 0, :, 0] = [np.nan, np.inf, -np.inf, 3e38, 0]
    found = sample(pictures(rng, 1), grid).numpy()[0, 0]
    assert np.isnan(found[0]).all()  # told by the loss
    np.testing.assert_array_equal(found[1:4], 0)
    assert np.isfinite(found[4]).all()


def test_integers_are_sampled_as_numbers():
    image = np.array([[[[255], [0]]]], np.uint8)
    assert sample(image, np.zeros((1, 1, 1, 2), np.float32)).numpy().item() == 127.5


@pytest.mark.parametrize("count", [0, 1, 3])
def test_any_number_of_images_also_compiled(rng, count):
    images, grid = pictures(rng, count), points(rng, count)
    signature = [tf.TensorSpec([None, *IMAGE]), tf.TensorSpec([None, 6, 4, 2])]
    for compiled in (False, True):
        call = tf.function(BilinearSampler(), input_signature=signature, jit_compile=compiled)
        np.testing.assert_allclose(call(images, grid), oracle(images, grid), atol=1e-5)


def test_half_precision_rounds_values_and_not_places(rng):
    """bfloat16 knows 8 bits: it would take a point near 1 for one a pixel away in a large image."""
    image = np.zeros((1, 1, 1024, 1), np.float32)
    image[0, 0, 1001] = 1
    grid = np.array([2 * 1001 / 1023 - 1, 0], np.float32).reshape(1, 1, 1, 2)
    found = BilinearSampler(dtype="mixed_bfloat16")(image, grid)
    assert found.dtype == tf.bfloat16
    assert float(found[0, 0, 0, 0]) == pytest.approx(1, abs=0.01)


def test_config_round_trip():
    layer = BilinearSampler(name="look", dtype="mixed_bfloat16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
