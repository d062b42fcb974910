import hashlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.augmentation import layers
from conveyor.models.augmentation.augmentation import Augmentation

# Arguments with which each layer surely changes an image of noise.
LAYERS = {
    "aug_mix": {"factor": 0.5},
    "auto_contrast": {},
    "cut_mix": {},
    "equalization": {},
    "mix_up": {"alpha": 0.8},
    "rand_augment": {},
    "random_distortion": {"kind": "R"},
    "random_brightness": {"factor": 0.4},
    "random_color_degeneration": {"factor": [0.2, 0.9]},
    "random_color_jitter": {"brightness_factor": 0.3, "contrast_factor": 0.3, "hue_factor": 0.3},
    "random_contrast": {"factor": 0.5},
    "random_crop": {"padding": 3},
    "random_elastic_transform": {"factor": [1.0, 1.0], "scale": [1.0, 1.0]},
    "random_erasing": {"factor": 1.0},
    "random_flip": {},
    "random_gaussian_blur": {"factor": 1.0, "sigma": [0.5, 2.0]},
    "random_grayscale": {"factor": 0.5},
    "random_hue": {"factor": [0.2, 0.8]},
    "random_invert": {"factor": 0.5},
    "random_mosaic": {},
    "random_object_crop": {},
    "random_perspective": {"factor": 1.0, "scale": 0.4},
    "random_posterization": {"factor": 2},
    "random_rotation": {"factor": 0.3},
    "random_saturation": {"factor": [0.1, 0.4]},
    "random_sharpness": {"factor": [0.2, 0.9]},
    "random_scale": {"factor": [0.5, 1.5]},
    "random_shear": {"x_factor": 0.4},
    "random_translation": {"height_factor": 0.4, "width_factor": 0.4},
    "random_zoom": {"height_factor": 0.5},
    "solarization": {"threshold_factor": 0.5, "addition_factor": 0.2},
}
FIXED = {"auto_contrast", "equalization", "random_posterization"}  # leave nothing to chance
YES_OR_NO = {"random_flip", "random_gaussian_blur", "random_grayscale", "random_invert"}
SPREAD = np.random.default_rng(0).integers(30, 220, (12, 12, 10, 3)).astype(np.uint8)
BATCH = {"images": SPREAD, "labels": np.eye(12, dtype=np.float32)}
SQUARE = {"random_distortion"}  # for square images only
OBJECTS = {"random_mosaic", "random_object_crop"}  # for boxes: see test_boxes.py


def augment(*names, number=3, seed=5, batch=BATCH):
    return Augmentation([{name: LAYERS[name]} for name in names], seed)(batch, tf.constant(number, tf.int64))


def mapped(chain, numbers, batch=BATCH):
    """The batches of numbers as tf.data makes them, which does not know how many images are in a batch."""
    dataset = tf.data.Dataset.from_tensor_slices(batch).batch(len(batch["images"])).repeat()
    pairs = tf.data.Dataset.zip(dataset, tf.data.Dataset.from_tensor_slices(np.array(numbers, np.int64)))
    return list(pairs.map(chain, num_parallel_calls=8, deterministic=True))


def digest(batch):
    return hashlib.sha256(b"".join(np.asarray(batch[key]).tobytes() for key in sorted(batch))).hexdigest()


@pytest.fixture(params=sorted(set(LAYERS) - SQUARE - OBJECTS))
def layer(request):
    return request.param


def test_every_kind_is_tested():
    assert set(LAYERS) == set(layers.KINDS)


def test_every_random_layer_of_keras_is_there():
    names = {name for name in dir(keras.layers) if name.startswith("Random")} | {
        "AugMix",
        "CutMix",
        "MixUp",
        "RandAugment",
    }
    kinds = {kind.__name__ for kind in layers.KINDS.values()}
    assert names - kinds == {"RandomHeight", "RandomWidth"} & names


def test_number_and_seed_decide(layer):
    keras.utils.set_random_seed(1)
    first = augment(layer)
    assert (first["images"].dtype, first["images"].shape) == (tf.float32, SPREAD.shape)
    assert np.all(np.isfinite(first["images"]))
    assert np.min(first["images"]) >= 0
    assert np.max(first["images"]) <= 255
    assert np.any(first["images"] != SPREAD)
    keras.utils.set_random_seed(2)
    assert digest(first) == digest(augment(layer))
    if layer not in FIXED:
        assert digest(first) != digest(augment(layer, number=4))
        assert digest(first) != digest(augment(layer, seed=6))


def test_graph_gives_what_eager_gives_however_many_work_on_it(layer):
    chain = Augmentation([{layer: LAYERS[layer]}], 5)
    numbers = [3, 2**40, 3]
    found = mapped(chain, numbers)
    assert digest(found[0]) == digest(found[2])
    for number, batch in zip(numbers[:2], found, strict=False):
        eager = chain(BATCH, tf.constant(number, tf.int64))
        np.testing.assert_allclose(batch["images"], eager["images"], atol=0.01)
        np.testing.assert_allclose(batch["labels"], eager["labels"], atol=1e-6)


@pytest.mark.parametrize("kind", ["R", "RTS", "P", "E"])
def test_distortion_of_square_images(kind):
    images = np.repeat(SPREAD[:1, :10, :10], 4, axis=0)
    chain = Augmentation([{"random_distortion": {"kind": kind}}], 5)
    first, again, other = (chain({"images": images}, np.int64(number))["images"] for number in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    assert np.any(first[0] != first[1])
    with pytest.raises(ValueError, match="neither boxes nor masks"):
        chain({"images": images, "segmentation_masks": images[..., :1]}, np.int64(3))


def test_images_of_a_batch_are_drawn_apart(layer):
    if layer in FIXED | {"mix_up", "cut_mix"}:  # what mixes the same with the same does nothing
        return
    same = {"images": np.repeat(SPREAD[:1], 12, axis=0)}
    found = augment(layer, batch=same)["images"].numpy()
    assert len({image.tobytes() for image in found}) >= (2 if layer in YES_OR_NO else 6)


@pytest.mark.slow
def test_a_fresh_process_gives_the_same_bytes():
    chain = ["random_flip", "random_crop", "rand_augment", "aug_mix", "random_color_jitter", "cut_mix"]
    code = (
        "import hashlib\nimport numpy as np, tensorflow as tf\n"
        "from conveyor.models.augmentation.augmentation import Augmentation\n"
        f"pixels = np.array({SPREAD.tolist()}, np.uint8)\n"
        f"chain = Augmentation({[{name: LAYERS[name]} for name in chain]}, 5)\n"
        "labels = np.eye(12, dtype=np.float32)\n"
        "found = chain({'images': pixels, 'labels': labels}, tf.constant(3, tf.int64))\n"
        "print(hashlib.sha256(b''.join(np.asarray(found[k]).tobytes() for k in sorted(found))).hexdigest())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == digest(augment(*chain))


def test_same_layer_twice_draws_twice():
    mirrored = augment("random_flip", number=11)["images"]
    twice = augment("random_flip", "random_flip", number=11)["images"]
    assert np.any(mirrored != SPREAD)
    assert np.any(twice != SPREAD)  # the second does not undo the first


def test_pixels_are_of_0_to_255():
    grey = {"images": np.array([0, 100, 200], np.uint8).reshape(1, 1, 3, 1)}
    brighter = Augmentation([{"random_brightness": {"factor": [0.5, 0.5]}}], 0)
    found = brighter(grey, tf.constant(0, tf.int64))["images"].numpy().ravel()
    np.testing.assert_allclose(found, [127.5, 227.5, 255])


def test_no_layers_change_nothing_and_other_keys_stay():
    found = Augmentation([], 0)({**BATCH, "weight": [1.0]}, tf.constant(0, tf.int64))
    np.testing.assert_array_equal(found["images"], SPREAD)
    assert found["images"].dtype == tf.float32
    assert found["weight"] == [1.0]


def test_what_is_given_is_not_changed():
    given = {"images": tf.constant(SPREAD), "labels": tf.constant(BATCH["labels"])}
    augment("mix_up", batch=given)
    np.testing.assert_array_equal(given["images"], SPREAD)


@pytest.mark.parametrize("seed", [0, 99_999, 2**31, 2**32 - 1])
def test_any_seed_that_keras_takes(seed):
    assert augment("random_rotation", seed=seed)["images"].shape == SPREAD.shape


@pytest.mark.parametrize("name", sorted(set(LAYERS) - SQUARE - OBJECTS))
def test_grey_images(name):
    grey = {**BATCH, "images": SPREAD[..., :1]}
    if name in ("random_hue", "random_saturation", "random_grayscale", "random_color_degeneration"):
        with pytest.raises(ValueError, match=f"{name}: expected images of 3 channels. Received: 1"):
            augment(name, batch=grey)
    elif name == "random_color_jitter":
        with pytest.raises(ValueError, match="3 channels"):
            augment(name, batch=grey)
    else:
        assert augment(name, batch=grey)["images"].shape == (12, 12, 10, 1)
