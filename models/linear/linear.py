"""Softmax regression."""

import keras

from conveyor.models.model import Model


@keras.saving.register_keras_serializable("conveyor")
class Linear(Model):
    """One dense layer on the pixels.

    Args:
        image_shape: (height, width, channels) of the model input.
        classes: Number of logits.

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, classes].
    """

    def __init__(self, image_shape, classes, **kwargs):
        # === layers ===
        flatten = keras.layers.Flatten(name="flatten")
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")
        # === functional ===
        inputs = keras.Input(image_shape, name="image")
        super().__init__(inputs=inputs, outputs=logits(flatten(inputs)), **kwargs)
        self.features_layer = "flatten"
        # === config ===
        self.arguments = {"image_shape": tuple(image_shape), "classes": classes}
