"""Focal loss of classes that exclude one another."""

import typing

import keras
from keras import ops

_SMALLEST = 1e-7  # of 1 - p: below it, the slope of a power under 1 is no number


@keras.saving.register_keras_serializable("conveyor")
class FocalCrossentropy(keras.losses.Loss):
    """Cross-entropy in which examples count less, the surer the model is of them.

    Keras's CategoricalFocalCrossentropy clips probabilities to 1e-7, so that examples which are wrong by
    more than 16 in the logits have no gradient, and are never learnt; here they keep it.

    Args:
        gamma: At least 0; at 0 this is the cross-entropy. The larger, the less sure examples count.
        label_smoothing: Share in [0, 1) of the target that is spread evenly over all classes.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 4.
    """

    def __init__(self, gamma=2.0, label_smoothing=0.0, name="focal_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.gamma = gamma
        self.label_smoothing = label_smoothing

    def call(self, y_true: typing.Any, y_pred: typing.Any) -> typing.Any:
        """Returns the loss of each example.

        Args:
            y_true: float32 [..., classes]: shares of the classes, of sum 1.
            y_pred: float32 [..., classes]: logits.

        Returns:
            float32 [...].
        """
        logarithms = ops.log_softmax(y_pred, axis=-1)
        return focal_crossentropy(y_true, logarithms, self.gamma, self.label_smoothing)

    def get_config(self) -> dict[str, typing.Any]:
        return {**super().get_config(), "gamma": self.gamma, "label_smoothing": self.label_smoothing}


def focal_crossentropy(
    targets: typing.Any, logarithms: typing.Any, gamma: float, label_smoothing: float, axis: int = -1
) -> typing.Any:
    """Returns the focal loss of logarithms of probabilities; at `gamma` 0 the cross-entropy.

    Args:
        targets: float32, shares of the classes, which lie along `axis`.
        logarithms: float32 of the same shape.
        gamma: At least 0.
        label_smoothing: Share in [0, 1) of the target that is spread evenly over all classes.
        axis: Where the classes are.

    Returns:
        float32, without that axis.
    """
    if label_smoothing:
        targets = targets * (1 - label_smoothing) + label_smoothing / targets.shape[axis]
    parts = targets * logarithms
    if gamma:
        parts *= ops.power(ops.maximum(-ops.expm1(logarithms), _SMALLEST), gamma)
    return -ops.sum(parts, axis=axis)
