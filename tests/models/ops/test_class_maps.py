"""Masks into the model's pixels, and maps of classes back into the images' own."""

import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.ops.class_maps import class_maps, resize_mask
from conveyor.models.ops.frames import frame_of


def one(own, fitted):
    return frame_of(tf.constant(own), tf.constant(fitted))


def test_mask_by_hand():
    """2x2 made 4x2 (each row twice), then padded with void to 5x3."""
    mask = np.uint8([[0, 1], [2, 255]])[..., None]
    found = resize_mask(tf.constant(mask), one([2, 2], [4, 2]), tf.constant([5, 3])).numpy()[..., 0]
    rows = [[0, 1, 255]] * 2 + [[2, 255, 255]] * 2 + [[255] * 3]
    assert found.tolist() == rows
    assert found.dtype == np.uint8


def test_mask_of_the_right_size_stays_as_it_is():
    mask = np.random.default_rng(0).integers(0, 5, (6, 7, 1)).astype(np.uint8)
    found = resize_mask(tf.constant(mask), one([6, 7], [6, 7]), tf.constant([6, 7]))
    np.testing.assert_array_equal(found, mask)


def logits_of(classes, count=3):
    return np.eye(count, dtype=np.float32)[classes] * 9


def test_maps_of_images_of_several_sizes():
    """In a 3x4 input: an image of 2x3 at its own size, and one of 6x4 at half its height."""
    classes = np.array([[[0, 1, 2, 2], [2, 1, 0, 2], [2, 2, 2, 2]], [[0] * 4, [1] * 4, [2] * 4]])
    frame = {
        "sizes": tf.constant([[2, 3], [6, 4]]),
        "scales": tf.constant([[1.0, 1.0], [0.5, 1.0]]),
    }
    found = tf.function(class_maps)(logits_of(classes), frame).numpy()
    assert (found.shape, found.dtype) == ((2, 6, 4), np.uint8)
    assert found[0, :2, :3].tolist() == [[0, 1, 2], [2, 1, 0]]
    assert (found[0, 2:] == 255).all()
    assert (found[0, :, 3] == 255).all()
    assert found[1].tolist() == [[row // 2] * 4 for row in range(6)]


def test_maps_of_images_at_their_own_sizes_are_cut():
    """In a 4x5 input, padded to a stride: images of 2x3 and of 3x2."""
    classes = np.array([[[1, 2, 0, 2, 2]] * 2 + [[2] * 5] * 2, [[2, 1, 0, 0, 0]] * 3 + [[0] * 5]])
    sizes = tf.constant([[2, 3], [3, 2]])
    found = tf.function(class_maps)(logits_of(classes), {"sizes": sizes, "scales": tf.ones([2, 2])}).numpy()
    assert found.dtype == np.uint8
    assert found.tolist() == [[[1, 2, 0]] * 2 + [[255] * 3], [[2, 1, 255]] * 3]


def test_an_image_is_mapped_alike_beside_one_that_is_resized():
    logits = np.random.default_rng(0).normal(size=(2, 6, 7, 4)).astype(np.float32)
    alone = class_maps(tf.constant(logits[:1]), frame_of(tf.constant([[6, 7]]), tf.constant([[6, 7]])))
    both = frame_of(tf.constant([[6, 7], [12, 7]]), tf.constant([[6, 7], [6, 7]]))
    np.testing.assert_array_equal(class_maps(tf.constant(logits), both)[0, :6], alone[0])


def test_logits_are_resized_and_not_classes():
    """A diagonal edge at twice the size has steps of one pixel, not of two."""
    rows, columns = np.indices((8, 8))
    logits = np.stack([columns - rows + 0.0, rows - columns + 0.0], -1).astype(np.float32)
    frame = {"sizes": tf.constant([[16, 16]]), "scales": tf.constant([[0.5, 0.5]])}
    found = class_maps(tf.constant(logits[None]), frame).numpy()[0]
    rows, columns = np.indices((16, 16))
    inner = slice(2, 14)
    np.testing.assert_array_equal(found[inner, inner], (rows > columns)[inner, inner])


@pytest.mark.parametrize("count", [0, 1])
def test_few_images(count):
    frame = {"sizes": tf.ones([count, 2], tf.int32), "scales": tf.ones([count, 2])}
    found = tf.function(class_maps)(tf.zeros([count, 4, 4, 2]), frame)  # as it is served
    assert found.shape == (count, count, count)
