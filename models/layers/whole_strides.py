"""Sides that are no multiple of a network's stride: padded before it, and cut off after it."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("conveyor")
class PadToMultiple(keras.layers.Layer):
    """Pads images with 0 at the bottom and the right, until their sides are multiples of a number.

    Args:
        multiple: In pixels.

    Input: [n, height, width, channels]. Output: the same, larger or not.
    """

    def __init__(self, multiple, **kwargs):
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, images):
        _, height, width, channels = keras.ops.shape(images)  # numbers where they are known
        multiple = self.multiple
        # ONNX's division of numbers below 0 is another
        missing = [[0, (multiple - side % multiple) % multiple] for side in (height, width)]
        padded = tf.pad(images, [[0, 0], *missing, [0, 0]])
        padded.set_shape([None, None, None, channels])
        return padded

    def compute_output_shape(self, input_shape):
        count, *sides, channels = input_shape
        return count, *(side and side + -side % self.multiple for side in sides), channels

    def get_config(self):
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable("conveyor")
class CropLike(keras.layers.Layer):
    """Cuts maps to the size of an image, at the bottom and the right.

    Input: maps [n, height, width, channels], and the image, [n, rows, columns, any], no larger. Output:
    [n, rows, columns, channels].
    """

    def call(self, inputs):
        maps, image = inputs
        _, height, width, _ = keras.ops.shape(image)
        return maps[:, :height, :width]

    def compute_output_shape(self, input_shape):
        maps, image = input_shape
        return maps[0], image[1], image[2], maps[3]
