"""The number that an answer rests on."""

import numpy as np
import tensorflow as tf

from conveyor.models.explain.score import score


def test_of_logits_it_is_the_largest():
    logits = tf.constant([[1.0, -2.0, 0.5], [-3.0, -1.0, -2.0]])
    np.testing.assert_array_equal(score(logits), [1.0, -1.0])


def test_of_a_dict_it_is_half_the_square_of_its_features():
    raw = {"reconstruction": tf.ones((2, 3, 3, 1)), "code": tf.constant([[3.0, 4.0], [0.0, 2.0]])}
    np.testing.assert_array_equal(score(raw), [12.5, 2.0])


def test_of_maps_in_a_dict_it_is_half_the_square_of_all():
    np.testing.assert_array_equal(score({"masks": tf.fill((2, 2, 2, 3), 2.0)}), [24.0, 24.0])


def test_of_a_map_of_logits_it_is_the_largest_of_each_pixel_that_is_no_background():
    """Pixels of the first image are told to be 0, 1 and 2: 4 + 3 of the last two. All of the second are 0:
    5 + 1 + 2."""
    first = [[5.0, 1.0, 2.0], [0.0, 4.0, 3.0], [-1.0, 2.0, 3.0]]
    second = [[5.0, 1.0, 2.0], [1.0, 0.0, 0.0], [2.0, -1.0, 0.0]]
    raw = tf.constant([[first], [second]])
    np.testing.assert_array_equal(score(raw), [7.0, 8.0])


def test_numbers_that_cannot_be_differentiated_are_passed_over():
    raw = {"count": tf.constant([[7], [8]]), "code": tf.constant([[2.0], [4.0]], tf.float16)}
    found = score(raw)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, [2.0, 8.0])
