"""Passes of moved images, of which serving takes the mean."""

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf

from conveyor.models.build import build_model
from conveyor.models.families import FamilySettings
from conveyor.models.segmentation.segmenter import Segmenter


class Columns(Segmenter):
    """Logits: the pixel, and the number of its column in the frame."""

    def __init__(self, shifts):
        image = keras.Input((None, None, 1))
        super().__init__(image, keras.layers.Lambda(_pixel_and_column)(image))
        self.arguments = {"shifts": shifts}


def _pixel_and_column(images):
    column = tf.cast(tf.range(tf.shape(images)[2]), tf.float32)[:, tf.newaxis]
    return tf.concat([images, tf.zeros_like(images) + column], -1)


def fcn(shape=(None, None, 2), **changed):
    values = {"family": "fcn", "filters": [3, 4, 5], "head_filters": 4, **changed}
    model = build_model(pydantic.TypeAdapter(FamilySettings).validate_python(values), shape, {"classes": 3})
    random = np.random.default_rng(0)
    for weight in model.weights:
        one = random.uniform(0.5, 1.5, weight.shape)
        weight.assign(one if "variance" in weight.path else random.normal(0.1, 0.5, weight.shape))
    return model


def averaged(model, images, shifts):
    """The mean as it is defined, pixel by pixel: of the passes in which the pixel has not left the image."""
    height, width = images.shape[1:3]
    passes = [model(images).numpy()]
    total, count = passes[0].copy(), np.ones((height, width, 1))
    for shift in shifts:
        padded = np.pad(images, ((0, 0), (shift, 0), (shift, 0), (0, 0)), "symmetric")
        logits = model(padded[:, :height, :width]).numpy()
        for row in range(height - shift):
            for column in range(width - shift):
                total[:, row, column] += logits[:, row + shift, column + shift]
                count[row, column] += 1
    return total / count


def test_mean_worked_by_hand():
    """Columns of the frame are 0 1 2 3. Moved by one, pixel (0, 0) is in column 1: (0 + 1) / 2. The last
    column and the last row leave the image, so that there is the plain pass only."""
    images = np.arange(8, dtype=np.float32).reshape(1, 2, 4, 1)
    found = Columns([1]).serve(tf.constant(images)).numpy()
    np.testing.assert_array_equal(found[..., :1], images)
    np.testing.assert_array_equal(found[0, :, :, 1], [[0.5, 1.5, 2.5, 3], [0, 1, 2, 3]])


def test_mean_of_three_passes_worked_by_hand():
    """Moved by 1 and by 3: pixel (0, 0) is in columns 0, 1 and 3, of mean 4/3; (0, 1) in 1 and 2."""
    images = np.zeros((1, 4, 4, 1), np.float32)
    found = Columns([1, 3]).serve(tf.constant(images)).numpy()[0, :, :, 1]
    np.testing.assert_allclose(found[0], [4 / 3, 1.5, 2.5, 3], rtol=1e-6)
    np.testing.assert_allclose(found[1], [0.5, 1.5, 2.5, 3], rtol=1e-6)


@pytest.mark.parametrize("shifts", [[3], [1, 4]])
@pytest.mark.parametrize("sides", [(17, 22), (16, 16), (5, 9)])
def test_serving_takes_the_mean_over_the_passes(shifts, sides):
    model = fcn(shifts=shifts)
    images = np.random.default_rng(1).random((2, *sides, 2)).astype(np.float32)
    found = model.serve(tf.constant(images)).numpy()
    np.testing.assert_allclose(found, averaged(model, images, shifts), rtol=1e-5, atol=1e-5)
    assert abs(found - model(images).numpy()).max() > 1e-3


@pytest.mark.parametrize("sides", [(1, 1), (2, 5), (3, 3)])
def test_images_that_leave_their_frame_have_the_plain_pass(sides):
    model = fcn(shifts=[5])
    images = np.random.default_rng(1).random((2, *sides, 2)).astype(np.float32)
    np.testing.assert_allclose(model.serve(tf.constant(images)), model(images), rtol=1e-5, atol=1e-5)


def test_an_image_has_the_same_answer_whatever_is_beside_it():
    model = fcn(shifts=[3])
    images = np.random.default_rng(1).random((3, 16, 24, 2)).astype(np.float32)
    together = model.serve(tf.constant(images)).numpy()
    alone = [model.serve(tf.constant(image[np.newaxis])).numpy()[0] for image in images]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_one_graph_serves_images_of_any_size():
    model = fcn(shifts=[3])
    serve = tf.function(model.serve, input_signature=[tf.TensorSpec([None, None, None, 2])])
    for sides in ((9, 8), (2, 30)):
        images = np.random.default_rng(1).random((2, *sides, 2)).astype(np.float32)
        np.testing.assert_allclose(serve(images), model.serve(tf.constant(images)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["fcn", "unet", "deeplab"])
def test_shifts_are_part_of_the_model_that_is_saved(family, tmp_path):
    values = {"family": family, "filters": [3, 4, 4], "shifts": [2, 3]}
    settings = pydantic.TypeAdapter(FamilySettings).validate_python(values)
    model = build_model(settings, (16, 16, 2), {"classes": 3})
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.arguments["shifts"] == [2, 3]
    images = tf.constant(np.random.default_rng(1).random((2, 16, 16, 2)).astype(np.float32))
    np.testing.assert_array_equal(again.serve(images), model.serve(images))


def test_without_shifts_serving_is_the_plain_pass():
    model = fcn()
    images = np.random.default_rng(1).random((2, 17, 22, 2)).astype(np.float32)
    np.testing.assert_array_equal(model.serve(tf.constant(images)), model(images))


@pytest.mark.parametrize("shifts", [[0], [-1], [65], [1.5], [1] * 8])
def test_shifts_out_of_range(shifts):
    with pytest.raises(pydantic.ValidationError, match="shifts"):
        fcn(shifts=shifts)
