"""Multi-layer perceptrons."""

import keras

from conveyor.models.model import Model


@keras.saving.register_keras_serializable("conveyor")
class MLP(Model):
    """Dense layers with ReLU and dropout on the pixels.

    Args:
        image_shape: (height, width, channels) of the model input.
        classes: Number of logits.
        units: Width of each hidden layer.
        dropout: Share in [0, 1) of hidden units dropped in training, after each hidden layer.

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, classes].

    Source: Srivastava et al., "Dropout", JMLR 15, 2014, for dropout.
    """

    def __init__(self, image_shape, classes, units=(128, 64), dropout=0.0, **kwargs):
        # === layers ===
        flatten = keras.layers.Flatten(name="flatten")
        hidden = []
        for number, width in enumerate(units, 1):
            hidden.append(keras.layers.Dense(width, activation="relu", name=f"dense_{number}"))
            if dropout:
                hidden.append(keras.layers.Dropout(dropout, name=f"dropout_{number}"))
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")
        # === functional ===
        inputs = keras.Input(image_shape, name="image")
        features = flatten(inputs)
        for layer in hidden:
            features = layer(features)
        super().__init__(inputs=inputs, outputs=logits(features), **kwargs)
        self.features_layer = (hidden[-1] if hidden else flatten).name
        # === config ===
        self.arguments = {
            "image_shape": tuple(image_shape),
            "classes": classes,
            "units": list(units),
            "dropout": dropout,
        }
