"""Blocks of convolutions, of which the families of segmentation are made."""

import keras

from conveyor.models.cnn.stack import Planned, Stack


class Blocks:
    """Makes blocks of convolution, normalisation and activation.

    Args:
        normalization: "none", "batch", "group" or "layer".
        activation: A Keras activation.
        separable: Whether a convolution is a filter for each channel, then 1x1.
    """

    def __init__(self, normalization: str, activation: str, separable: bool):
        self._normalization, self._activation, self._separable = normalization, activation, separable
        self._stack = Stack(2, activation, "he_normal", 0.0, 0.0)

    def __call__(
        self,
        features: keras.KerasTensor,
        filters: int,
        name: str,
        convolutions: int = 1,
        kernel_size: int = 3,
        strides: int = 1,
        dilation: int = 1,
    ) -> keras.KerasTensor:
        """Returns the output of a block; `strides` are those of its first convolution."""
        plan: list[Planned] = []
        for number in range(1, convolutions + 1):
            options = {
                "filters": filters,
                "kernel_size": kernel_size,
                "strides": strides if number == 1 else 1,
                "padding": "same",
                "dilation_rate": dilation,
                "separable": self._separable and kernel_size > 1,
            }
            plan.append((f"{name}_conv_{number}", "conv", options))
            if self._normalization != "none":
                plan.append((f"{name}_norm_{number}", "norm", self._normalization))
            plan.append((f"{name}_{self._activation}_{number}", "activation", self._activation))
        return self._stack(plan, features)
