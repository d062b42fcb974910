import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.components.example_gen.readers import distortions
from conveyor.models.layers import random_distortion
from conveyor.models.layers.bilinear_sampler import sample
from conveyor.models.layers.grid_generator import GridGenerator
from conveyor.models.layers.random_distortion import RandomDistortion

KINDS = ("R", "RTS", "P", "E")


def frames(count, side=28):
    pad = (side - 28) // 2
    found = distortions.load_frames()[0][:count]
    return np.pad(found, [(0, 0), (pad, pad), (pad, pad)])[..., None]


def distort(images, kind, seed=3):
    layer = RandomDistortion(kind)
    drawn = layer.get_random_transformation(images, True, keras.random.SeedGenerator(seed))
    return layer.transform_images(images, drawn).numpy()


def side_of(kind):
    return 42 if kind == "RTS" else 28


# === the same as the data's distortions ===


@pytest.mark.parametrize(("degrees", "scale", "down", "right"), [(30, 1, 0, 0), (-70, 0.8, 3, -5)])
def test_similarity_is_the_same_map(degrees, scale, down, right):
    side = 42
    move = [np.float32(moved * 2 / (side - 1)) for moved in (right, down)]
    parameters = random_distortion._similarity(*map(tf.constant, ([float(degrees)], [float(scale)])), *move)
    found = sample(frames(1, side), GridGenerator((side, side))(parameters))[0, ..., 0]
    expected = distortions.warp(frames(1)[0, ..., 0], distortions.affine(degrees, scale, (down, right), side))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("side", [28, 42])
def test_affine_moves_are_what_the_sampler_does(side):
    images = np.random.default_rng(0).random((6, side, side, 2), np.float32)
    identity = np.array([1, 0, 0, 0, 1, 0])
    drawn = (identity + np.random.default_rng(1).normal(0, 0.5, (6, 6))).astype(np.float32)
    expected = sample(images, GridGenerator((side, side))(drawn))
    found = random_distortion._move_affine(tf.constant(images), tf.constant(drawn))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_projection_is_the_same_map():
    corners = np.array([(3, 2), (1, 25), (30, 24), (22, -3)], np.float32)  # rows and columns
    parameters = random_distortion._homography(tf.constant(corners[None, :, ::-1] * 2 / 27 - 1))
    found = sample(frames(1), GridGenerator((28, 28), "projective")(parameters))[0, ..., 0]
    expected = distortions.warp(frames(1)[0, ..., 0], distortions.projective(corners))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_spline_is_the_same_map():
    moves = np.random.default_rng(0).normal(0, 1.5, (16, 2))
    points = random_distortion.regular_points(4, 4) / 0.8 + moves[:, ::-1] * 2 / 27
    grid = GridGenerator((28, 28), "thin_plate_spline")(points.reshape(1, 32).astype(np.float32))
    expected = distortions.warp(frames(1)[0, ..., 0], distortions.elastic(0.8, moves))
    np.testing.assert_allclose(sample(frames(1), grid)[0, ..., 0], expected, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_from_the_same_distribution(kind):
    """By mean and spread, over many images, of where the ink is and how much of it there is."""
    count = 1500
    rng = np.random.default_rng(1)
    theirs = [distortions.warp(frame[..., 0], distortions.draw(kind, rng)) for frame in frames(count)]
    for ours, others in zip(
        _moments(distort(frames(count, side_of(kind)), kind)[..., 0]), _moments(np.array(theirs)), strict=True
    ):
        error = np.sqrt((ours.var() + others.var()) / count)
        assert abs(ours.mean() - others.mean()) < 4 * error
        assert ours.std() == pytest.approx(others.std(), rel=0.12)


def _moments(images):
    """Ink, its centre, and its covariance, of each image."""
    places = np.linspace(-1, 1, images.shape[1])
    ink = images.sum((1, 2))
    x = (images * places).sum((1, 2)) / ink
    y = (images * places[:, None]).sum((1, 2)) / ink
    slant = (images * places * places[:, None]).sum((1, 2)) / ink - x * y
    return ink, x, y, slant


# === a layer for tf.data ===


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_images_each_distorted_differently_in_a_graph(kind):
    images = np.repeat(frames(1, side_of(kind)), 4, axis=0)
    layer = RandomDistortion(kind)

    def augment(images):
        class Seeds(keras.random.SeedGenerator):
            def __init__(self):
                self.asked = 0

            def next(self, ordered=True):
                self.asked += 1
                return tf.stack([7, self.asked])

        return layer.transform_images(images, layer.get_random_transformation(images, True, Seeds()))

    eager = augment(tf.constant(images)).numpy()
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(4).repeat(2).map(augment, 2)
    for batch in dataset:
        np.testing.assert_allclose(batch, eager, atol=1e-4)
    assert len(np.unique(eager.round(3).reshape(4, -1), axis=0)) == 4


def test_rts_keeps_the_ink_on_the_canvas():
    square = np.zeros((300, 42, 42, 1), np.float32)
    square[:, 11:31, 11:31] = 1
    found = distort(square, "RTS")[..., 0]
    border = found[:, [0, -1], :].sum() + found[:, :, [0, -1]].sum()
    assert border < 0.02 * found.sum()
    assert 400 * 0.7**2 * 0.95 < found.sum((1, 2)).min() < found.sum((1, 2)).max() < 400 * 1.2**2 * 1.05


def test_whole_numbers_and_colours():
    images = (np.repeat(frames(2), 3, axis=-1) * 255).astype(np.uint8)
    found = distort(images, "R")
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert 150 < found.max() <= 255
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_nothing_happens_outside_training():
    layer = RandomDistortion("R")
    assert layer.get_random_transformation(frames(1), False) is None
    np.testing.assert_array_equal(layer(frames(1), training=False), frames(1))
    assert not np.array_equal(layer(frames(1), training=True), frames(1))
    assert layer.transform_labels("labels", None) == "labels"


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"one of R, RTS, P, E\. Received: S"):
        RandomDistortion("S")
    with pytest.raises(ValueError, match="square"):
        distort(np.zeros((1, 28, 30, 1)), "R")


def test_config_round_trip():
    layer = RandomDistortion("E")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
