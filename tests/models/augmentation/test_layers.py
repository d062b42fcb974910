"""Keras's own layers are the oracle, as far as they do what they say."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.augmentation.augmentation import Augmentation
from conveyor.models.augmentation.layers import make_layer
from conveyor.models.augmentation.seeds import Seeds

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 13, 18, 3)).astype(np.float32)
SEED = tf.constant([4, 5])


def apply(name, arguments, **more):
    return make_layer(name, arguments)({"images": PIXELS, **more}, Seeds(SEED))


@pytest.mark.parametrize(
    ("name", "kind", "arguments"),
    [
        ("random_perspective", keras.layers.RandomPerspective, {"factor": 1.0, "scale": 0.4}),
        ("random_rotation", keras.layers.RandomRotation, {"factor": 0.3, "fill_mode": "wrap"}),
        ("random_shear", keras.layers.RandomShear, {"x_factor": 0.4, "y_factor": 0.2}),
        ("random_translation", keras.layers.RandomTranslation, {"height_factor": 0.4, "width_factor": 0.2}),
        ("random_zoom", keras.layers.RandomZoom, {"height_factor": 0.5, "width_factor": 0.2}),
        ("random_zoom", keras.layers.RandomZoom, {"height_factor": 0.5, "interpolation": "nearest"}),
        ("random_contrast", keras.layers.RandomContrast, {"factor": 0.4}),
        ("mix_up", keras.layers.MixUp, {"alpha": 0.6}),
        ("cut_mix", keras.layers.CutMix, {}),
    ],
)
def test_images_are_those_of_keras(name, kind, arguments):
    layer = kind(**arguments)
    drawn = layer.get_random_transformation(PIXELS, training=True, seed=Seeds(SEED))
    expected = layer.transform_images(PIXELS, drawn, training=True)
    found = apply(name, arguments)["images"]
    assert np.any(found != PIXELS)
    # coordinates that fall between two pixels may be rounded either way
    assert np.mean(np.abs(found - expected) > 0.05) < 0.01


@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
def test_crops_are_shifts_of_padded_images(fill_mode):
    layer = {"padding": 20, "fill_mode": fill_mode, "fill_value": 7}
    found = apply("random_crop", layer)["images"].numpy()
    modes = {"nearest": "edge", "reflect": "symmetric"}
    how = {"constant_values": 7} if fill_mode == "constant" else {}
    padded = np.pad(PIXELS, [(0, 0), (20, 20), (20, 20), (0, 0)], modes.get(fill_mode, fill_mode), **how)
    starts = set()
    for image, around in zip(found, padded, strict=True):
        places = [
            (y, x)
            for y in range(41)
            for x in range(41)
            if np.array_equal(around[y : y + 13, x : x + 18], image)
        ]
        assert places
        starts.add(places[0])
    assert len(starts) > 8


def test_every_place_of_a_crop_is_as_likely():
    images = np.arange(2000, dtype=np.float32)[:, None, None, None] * 0 + np.arange(5.0)[None, None, :, None]
    layer = make_layer("random_crop", {"padding": 1, "fill_mode": "nearest"})
    first = layer({"images": images.astype(np.float32)}, Seeds(SEED))["images"].numpy()[:, 0, 2, 0]
    values, counts = np.unique(first, return_counts=True)
    assert list(values) == [1, 2, 3]
    assert counts.min() > 580


def test_flips_in_both_directions_are_drawn_apart():
    found = apply("random_flip", {})["images"].numpy()
    kinds = set()
    for before, after in zip(PIXELS, found, strict=True):
        options = {"": before, "x": before[:, ::-1], "y": before[::-1], "xy": before[::-1, ::-1]}
        kinds |= {name for name, image in options.items() if np.array_equal(image, after)}
    assert kinds == {"", "x", "y", "xy"}


@pytest.mark.parametrize(("mode", "allowed"), [("horizontal", 2), ("vertical", 1)])
def test_flips_in_one_direction(mode, allowed):
    found = apply("random_flip", {"mode": mode})["images"].numpy()
    mirrored = np.flip(PIXELS, allowed)
    which = [np.array_equal(after, other) for after, other in zip(found, mirrored, strict=True)]
    assert 2 < sum(which) < 14
    np.testing.assert_array_equal(found, np.where(np.array(which)[:, None, None, None], mirrored, PIXELS))


def test_elastic_takes_masks_along():
    masks = (PIXELS[..., :1] // 64).astype(np.uint8)
    layer = {"factor": [1.0, 1.0], "scale": [1.0, 1.0], "interpolation": "nearest"}
    step = make_layer("random_elastic_transform", layer)
    bent = step({"images": masks.astype(np.float32), "segmentation_masks": masks}, Seeds(SEED))
    assert np.any(bent["segmentation_masks"] != masks)
    np.testing.assert_array_equal(bent["images"], bent["segmentation_masks"])


def test_equalization_looks_at_one_image_alone():
    alone = make_layer("equalization", {})({"images": PIXELS[:1]}, Seeds(SEED))["images"][0]
    np.testing.assert_array_equal(apply("equalization", {})["images"][0], alone)


def test_jitter_is_its_parts():
    jitter = apply("random_color_jitter", {"brightness_factor": 0.3})["images"]
    np.testing.assert_array_equal(jitter, apply("random_brightness", {"factor": 0.3})["images"])


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("random_flop", {}, "expected random_flip or .*Received: random_flop"),
        ("RandomFlip", {}, "random_flip"),
        ("mixup", {}, "mix_up"),
        ("dropout", {}, "expected"),
        ("random_flip", {"modus": "horizontal"}, "random_flip: expected mode.*modus"),
        ("random_flip", {"seed": 3}, "seed"),
        ("random_flip", {"mode": "diagonal"}, "random_flip: expected .*horizontal.*diagonal"),
        ("random_rotation", {}, "factor"),
        ("random_rotation", {"factor": 0.1, "fill_mode": "mirror"}, "fill_mode"),
        ("random_brightness", {"factor": 3}, "factor"),
        ("random_brightness", {"factor": 0.1, "value_range": [0, 1]}, "value_range"),
        ("random_crop", {}, "expected padding"),
        ("random_crop", {"padding": -1}, "padding"),
        ("random_crop", {"padding": 1.5}, "padding"),
        ("random_crop", {"padding": 10**9}, "padding"),
        ("random_crop", {"padding": 2, "fill_mode": "grey"}, "fill_mode"),
        ("random_crop", {"height": 0, "width": 3}, "height"),
        ("random_rotation", {"factor": 0.1, "probability": 1.5}, "probability"),
        ("random_rotation", {"factor": 0.1, "probability": "often"}, "probability"),
        ("mix_up", {"alpha": 0}, "alpha"),
        ("mix_up", {"alpha": "a"}, "alpha"),
        ("rand_augment", {"num_ops": 0}, "num_ops"),
        ("rand_augment", {"num_ops": 2.5}, "num_ops"),
        ("rand_augment", {"num_ops": 1000}, "num_ops"),
        ("aug_mix", {"num_chains": 0}, "num_chains"),
        ("aug_mix", {"chain_depth": -1}, "chain_depth"),
        ("aug_mix", {"alpha": -1}, "alpha"),
    ],
)
def test_layers_that_are_not_there(name, arguments, said):
    with pytest.raises(ValueError, match=said):
        make_layer(name, arguments)


def test_errors_of_images_name_the_layer():
    chain = Augmentation([{"random_crop": {"height": 99, "width": 5}}], 0)
    with pytest.raises(
        ValueError, match=r"random_crop: expected crops within images of 13 pixels\. Received: 99"
    ):
        chain({"images": PIXELS}, tf.constant(0, tf.int64))
