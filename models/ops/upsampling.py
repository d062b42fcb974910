"""Transposed convolutions that start as bilinear upsampling."""

import typing

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("conveyor")
class BilinearUpsampling(keras.initializers.Initializer):
    """The kernel with which a `Conv2DTranspose` upsamples bilinearly, each channel for itself.

    For a factor f: `Conv2DTranspose(channels, 2 * f, strides=f, padding="same", use_bias=False,
    kernel_initializer=BilinearUpsampling())`. Inside, that is `tf.image.resize` by f; at the border it
    fades, as zeros are beyond.

    Source: Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, section 3.3.
    """

    def __call__(self, shape: typing.Sequence[int], dtype: typing.Any = None) -> tf.Tensor:
        """Returns the kernel.

        Args:
            shape: [height, width, channels, channels].
            dtype: Of the kernel.

        Raises:
            ValueError: The numbers of channels that go in and out differ.
        """
        height, width, out, into = shape
        if out != into:
            raise ValueError(f"expected as many channels out as in. Received: {shape=}")
        kernel = np.zeros(shape, np.float32)
        kernel[:, :, range(out), range(out)] = np.outer(_triangle(height), _triangle(width))[..., np.newaxis]
        return tf.constant(kernel, keras.backend.standardize_dtype(dtype))


def _triangle(size: int) -> np.ndarray:
    """Returns weights that fall from the middle to the ends, [size]."""
    factor = (size + 1) // 2
    return 1.0 - np.abs(np.arange(size) - (size - 1) / 2.0) / factor
