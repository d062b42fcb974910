"""Padding to a multiple, cropping, and pixels out of channels."""

import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.layers.enlarging import Enlarge, PixelShuffle
from conveyor.models.layers.whole_strides import CropLike, PadToMultiple


@pytest.mark.parametrize(("sides", "expected"), [((5, 8), (8, 8)), ((4, 4), (4, 4)), ((1, 9), (4, 12))])
@pytest.mark.parametrize("known", [True, False])
def test_pad(sides, expected, known):
    layer = PadToMultiple(4)
    images = np.random.default_rng(0).random((2, *sides, 3)).astype(np.float32)
    spec = tf.TensorSpec([None, *(sides if known else (None, None)), 3])
    found = tf.function(layer, input_signature=[spec])(images).numpy()
    assert found.shape == (2, *expected, 3)
    np.testing.assert_array_equal(found[:, : sides[0], : sides[1]], images)
    assert found.sum() == pytest.approx(images.sum(), rel=1e-5)
    assert layer.compute_output_shape((None, *sides, 3)) == (None, *expected, 3)
    assert layer.compute_output_shape((None, None, None, 3)) == (None, None, None, 3)


def test_crop_undoes_the_padding():
    images = np.random.default_rng(0).random((2, 5, 7, 3)).astype(np.float32)
    found = CropLike()([PadToMultiple(4)(images), images])
    np.testing.assert_array_equal(found, images)
    assert CropLike().compute_output_shape([(None, 8, 8, 2), (None, 5, None, 3)]) == (None, 5, None, 2)


def test_shuffle_by_hand():
    """The channels of a place are its pixels, row by row; of each pixel all channels together."""
    maps = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)
    found = PixelShuffle(2)(maps).numpy()
    assert found.tolist() == [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]]
    assert PixelShuffle(2).compute_output_shape((None, 3, None, 8)) == (None, 6, None, 2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_enlarge_by_hand(dtype):
    """Centres are at quarters of the old pixels: 0, then 1/4 and 3/4 of the way from 0 to 4, then 4."""
    maps = tf.constant([[[[0.0], [4.0]]]])
    spec = tf.TensorSpec([None, None, None, 1])
    found = tf.function(Enlarge(2, dtype=dtype), input_signature=[spec])(maps)
    assert found.dtype == dtype
    assert found.numpy()[0, :, :, 0].astype(float).tolist() == [[0.0, 1.0, 3.0, 4.0]] * 2
    assert Enlarge(3).compute_output_shape((None, 2, None, 5)) == (None, 6, None, 5)
