"""Softmax regression."""

import keras


@keras.saving.register_keras_serializable("conveyor")
class Linear(keras.Model):
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
        # === config ===
        self.image_shape = tuple(image_shape)
        self.classes = classes

    def get_config(self):
        return {"image_shape": self.image_shape, "classes": self.classes, "name": self.name}
