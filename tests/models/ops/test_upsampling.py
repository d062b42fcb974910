import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.ops.upsampling import BilinearUpsampling


def layer(channels, kernel, factor, **arguments):
    initializer = BilinearUpsampling()
    return keras.layers.Conv2DTranspose(
        channels, kernel, factor, "same", use_bias=False, kernel_initializer=initializer, **arguments
    )


def test_kernels_by_hand():
    even = BilinearUpsampling()((4, 4, 1, 1)).numpy()[..., 0, 0]
    np.testing.assert_allclose(even, np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16)
    odd = BilinearUpsampling()((3, 3, 1, 1)).numpy()[..., 0, 0]
    np.testing.assert_allclose(odd, np.outer([1, 2, 1], [1, 2, 1]) / 4)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("factor", [2, 8])
def test_upsamples_as_resize_does_inside(factor, jit_compile):
    image = tf.random.stateless_normal([2, 6, 5, 3], [0, 1])
    upsample = layer(3, 2 * factor, factor)
    found = tf.function(lambda x: upsample(x), jit_compile=jit_compile)(image)
    expected = tf.image.resize(image, [6 * factor, 5 * factor], "bilinear")
    inside = (slice(None), slice(factor, -factor), slice(factor, -factor))
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)


def test_dtype_and_saving():
    upsample = layer(2, 4, 2, dtype="mixed_bfloat16")
    assert upsample(tf.ones([1, 3, 3, 2])).dtype == tf.bfloat16
    assert BilinearUpsampling()((4, 4, 2, 2), "bfloat16").dtype == tf.bfloat16
    again = keras.layers.Conv2DTranspose.from_config(upsample.get_config())
    assert isinstance(again.kernel_initializer, BilinearUpsampling)


def test_refuses_other_numbers_of_channels():
    with pytest.raises(ValueError, match="as many channels"):
        BilinearUpsampling()((4, 4, 2, 3))
