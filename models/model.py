"""The base of all model families."""

import keras


class Model(keras.Model):
    """A functional graph that knows how its weights are to be trained."""

    frozen_epochs: int = 0
    """For so many epochs, weights that `is_pretrained` do not move."""

    features_layer: str = ""
    """Name of the layer whose output is the features that the head works on."""

    def backbone(self) -> keras.Model:
        """Returns the part before the head; its weights are this model's.

        Returns:
            A model from float32 [n, height, width, channels] to features: the last feature map
            [n, rows, columns, channels], or [n, features] where the family has none.
        """
        return keras.Model(self.inputs, self.get_layer(self.features_layer).output, name="backbone")

    def is_pretrained(self, variable: keras.Variable) -> bool:
        """Whether a weight comes from an earlier training."""
        del variable
        return False

    def learning_rate_factor(self, variable: keras.Variable) -> float:
        """Returns what the learning rate of a weight is multiplied by, in [0, 1]."""
        del variable
        return 1.0
