import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models import augmentation
from conveyor.models.augmentation import Augmentation, make_layer

# Arguments with which each layer surely changes an image of noise.
LAYERS = {
    "random_brightness": {"factor": 0.4},
    "random_color_degeneration": {"factor": [0.2, 0.9]},
    "random_contrast": {"factor": 0.5},
    "random_elastic_transform": {"factor": 1.0},
    "random_erasing": {"factor": 1.0},
    "random_flip": {},
    "random_gaussian_blur": {"factor": 1.0, "sigma": [0.5, 2.0]},
    "random_grayscale": {"factor": 0.5},
    "random_hue": {"factor": [0.2, 0.8]},
    "random_invert": {"factor": 0.5},
    "random_perspective": {"factor": 1.0, "scale": 0.4},
    "random_posterization": {"factor": 2},
    "random_rotation": {"factor": 0.3},
    "random_saturation": {"factor": [0.1, 0.4]},
    "random_sharpness": {"factor": [0.2, 0.9]},
    "random_shear": {"x_factor": 0.4},
    "random_translation": {"height_factor": 0.4, "width_factor": 0.4},
    "random_zoom": {"height_factor": 0.5},
}
# Its setting leaves nothing to chance.
ALIKE = {"random_posterization"}
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 12, 10, 3)).astype(np.uint8)


def augment(*layers, number=3, seed=5, pixels=PIXELS):
    return Augmentation([{name: LAYERS[name]} for name in layers], seed)(
        tf.constant(number, tf.int64), pixels
    )


@pytest.fixture(params=LAYERS)
def layer(request):
    return request.param


def test_every_kind_is_tested():
    assert set(LAYERS) == set(augmentation._KINDS)


def test_number_and_seed_decide(layer):
    first = augment(layer)
    assert (first.dtype, first.shape) == (tf.float32, PIXELS.shape)
    assert np.all(np.isfinite(first))
    assert np.any(first != PIXELS)
    np.testing.assert_array_equal(first, augment(layer))
    if layer not in ALIKE:
        assert np.any(first != augment(layer, number=4))
        assert np.any(first != augment(layer, seed=6))


def test_state_of_random_generators_does_not_matter(layer):
    chain = Augmentation([{layer: LAYERS[layer]}], 5)
    keras.utils.set_random_seed(1)
    first = chain(tf.constant(3, tf.int64), PIXELS)
    keras.utils.set_random_seed(2)
    chain(tf.constant(9, tf.int64), PIXELS)
    np.testing.assert_array_equal(first, chain(tf.constant(3, tf.int64), PIXELS))


def test_same_layer_twice_draws_twice():
    mirrored = augment("random_flip", number=11)
    twice = augment("random_flip", "random_flip", number=11)
    assert np.any(mirrored != PIXELS)
    assert np.any(twice != PIXELS)  # the second does not undo the first


def test_images_of_a_batch_are_drawn_apart():
    same = np.repeat(PIXELS[:1], 16, axis=0)
    found = augment("random_translation", pixels=same).numpy()
    assert len({image.tobytes() for image in found}) == 16


def test_graph_gives_what_eager_gives_however_many_work_on_it():
    chain = Augmentation([{name: LAYERS[name]} for name in ("random_rotation", "random_contrast")], 5)
    numbers = tf.data.Dataset.range(30)
    mapped = numbers.map(lambda number: chain(number, PIXELS), num_parallel_calls=8, deterministic=True)
    for number, found in enumerate(mapped):
        if number % 7 == 0:
            np.testing.assert_allclose(found, chain(tf.constant(number, tf.int64), PIXELS), atol=0.01)


def test_pixels_are_of_0_to_255():
    brighter = Augmentation([{"random_brightness": {"factor": [0.5, 0.5]}}], 0)
    grey = np.array([0, 100, 200], np.uint8).reshape(1, 1, 3, 1)
    found = brighter(tf.constant(0, tf.int64), grey).numpy().ravel()
    np.testing.assert_allclose(found, [127.5, 227.5, 255])


def test_no_layers_change_nothing():
    np.testing.assert_array_equal(Augmentation([], 0)(tf.constant(0, tf.int64), PIXELS), PIXELS)


@pytest.mark.parametrize("seed", [0, 99_999, 2**32 - 1])
def test_any_seed_that_keras_takes(seed):
    assert augment("random_rotation", seed=seed).shape == PIXELS.shape


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("random_flop", {}, "random_flop"),
        ("RandomFlip", {}, "expected one of .*random_flip"),
        ("random_flip", {"modus": "horizontal"}, "modus"),
        ("random_rotation", {}, "factor"),
        ("random_brightness", {"factor": 3}, "factor"),
    ],
)
def test_layers_that_are_not_there(name, arguments, said):
    with pytest.raises(ValueError, match=said):
        make_layer(name, arguments)
