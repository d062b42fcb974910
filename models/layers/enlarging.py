"""Larger maps, without weights."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("conveyor")
class Enlarge(keras.layers.Layer):
    """Resizes maps bilinearly; Keras's UpSampling2D does not take maps of unknown size.

    Args:
        factor: How many times as high and wide.

    Input: [n, height, width, channels]. Output: [n, factor * height, factor * width, channels].
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, maps):
        _, height, width, _ = keras.ops.shape(maps)
        larger = tf.image.resize(maps, [height * self.factor, width * self.factor])
        return tf.cast(larger, maps.dtype)

    def compute_output_shape(self, input_shape):
        count, *sides, channels = input_shape
        return count, *(side and side * self.factor for side in sides), channels

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("conveyor")
class PixelShuffle(keras.layers.Layer):
    """Makes of each place f x f places, of the channels of each a part.

    Args:
        factor: f.

    Input: [n, height, width, f * f * channels]. Output: [n, f * height, f * width, channels].

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", CVPR 2016, section 3.2.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, maps):
        return tf.nn.depth_to_space(maps, self.factor)

    def compute_output_shape(self, input_shape):
        count, *sides, channels = input_shape
        return count, *(side and side * self.factor for side in sides), channels // self.factor**2

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
