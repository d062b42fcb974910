"""Losses of pixels, in which void does not count."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.losses.focal import focal_crossentropy
from conveyor.models.void import VOID

_SMOOTH = 1.0  # pixels, added above and below: no division by 0, and a little loss for a little wrong


class _PixelLoss(keras.losses.Loss):
    """A loss of masks and logits: float32 [n], one an image; 0 where all of it is void.

    It is computed with the classes in front: sums over few numbers in a row are several times slower.
    """

    def call(self, y_true: typing.Any, y_pred: typing.Any) -> typing.Any:
        """Returns the loss of each image.

        Args:
            y_true: [n, height, width, 1], class indices, or 255 for void.
            y_pred: float32 [n, height, width, classes], logits.
        """
        truth = tf.cast(tf.round(y_true[..., 0]), tf.int32)
        known = tf.cast(truth != VOID, tf.float32)
        wanted = tf.one_hot(truth, y_pred.shape[-1], axis=0)
        logarithms = _log_softmax(tf.transpose(tf.cast(y_pred, tf.float32), [3, 0, 1, 2]))
        return self.of_pixels(wanted, known, logarithms)

    def of_pixels(self, wanted: tf.Tensor, known: tf.Tensor, logarithms: tf.Tensor) -> tf.Tensor:
        """Returns float32 [n].

        Args:
            wanted: float32 [classes, n, height, width], 1 where the pixel is of the class; void is of none.
            known: float32 [n, height, width], 0 where the mask is void, else 1.
            logarithms: Like `wanted`, of the probabilities that are told.
        """
        raise NotImplementedError


@tf.custom_gradient
def _log_softmax(logits):
    """Returns log-probabilities over the first axis."""
    logits -= tf.reduce_max(logits, 0)
    shares = tf.exp(logits)
    total = tf.reduce_sum(shares, 0)
    return logits - tf.math.log(total), lambda slope: slope - shares * (tf.reduce_sum(slope, 0) / total)


@keras.saving.register_keras_serializable("conveyor")
class PixelCrossentropy(_PixelLoss):
    """Cross-entropy, or focal loss, averaged over the pixels of an image that are not void.

    Args:
        gamma: Of the focal loss, at least 0; at 0 it is the cross-entropy.
        class_weights: What a pixel of each class counts; None for 1.
        label_smoothing: Share in [0, 1) of the target that is spread evenly over all classes.
    """

    def __init__(
        self, gamma=0.0, class_weights=None, label_smoothing=0.0, name="pixel_crossentropy", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        self.gamma, self.class_weights, self.label_smoothing = gamma, class_weights, label_smoothing

    def of_pixels(self, wanted, known, logarithms):
        losses = focal_crossentropy(wanted, logarithms, self.gamma, self.label_smoothing, axis=0)
        counted = known
        if self.class_weights is not None:
            counted = tf.tensordot(tf.constant(self.class_weights, tf.float32), wanted, 1)
        return tf.math.divide_no_nan(
            tf.reduce_sum(losses * counted, axis=[1, 2]), tf.reduce_sum(known, axis=[1, 2])
        )

    def get_config(self) -> dict[str, typing.Any]:
        own = {"gamma": self.gamma, "class_weights": self.class_weights}
        return {**super().get_config(), **own, "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("conveyor")
class RegionLoss(_PixelLoss):
    """Tversky's loss: how little the region of each class that an image has is like the one that is told.

    Per class 1 - (hits + 1) / (hits + alpha * wrong + (1 - alpha) * missed + 1), of probabilities; the mean
    over the classes that the image has.

    Args:
        alpha: In [0, 1]; 0.5 makes it the Dice loss.

    Source: Salehi, Erdogmus, Gholipour, "Tversky loss function for image segmentation using 3D fully
    convolutional deep networks", MLMI 2017, equation 4; Milletari, Navab, Ahmadi, "V-Net", 3DV 2016,
    section 3, for Dice.
    """

    def __init__(self, alpha=0.5, name="region_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.alpha = alpha

    def of_pixels(self, wanted, known, logarithms):
        told = tf.exp(logarithms) * known
        hits, told, wanted = (tf.reduce_sum(part, axis=[2, 3]) for part in (told * wanted, told, wanted))
        apart = self.alpha * (told - hits) + (1 - self.alpha) * (wanted - hits)
        losses = 1.0 - (hits + _SMOOTH) / (hits + apart + _SMOOTH)
        present = tf.cast(wanted > 0, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(losses * present, axis=0), tf.reduce_sum(present, axis=0))

    def get_config(self) -> dict[str, typing.Any]:
        return {**super().get_config(), "alpha": self.alpha}


@keras.saving.register_keras_serializable("conveyor")
class SumOfLosses(_PixelLoss):
    """The sum of losses of pixels.

    Args:
        parts: Losses of the classes above, or what Keras makes of them in a config.
    """

    def __init__(self, parts, name="segmentation_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        make = keras.saving.deserialize_keras_object
        self.parts = [make(part) if isinstance(part, dict) else part for part in parts]

    def of_pixels(self, wanted, known, logarithms):
        return tf.add_n([part.of_pixels(wanted, known, logarithms) for part in self.parts])

    def get_config(self) -> dict[str, typing.Any]:
        parts = [keras.saving.serialize_keras_object(part) for part in self.parts]
        return {**super().get_config(), "parts": parts}


def median_frequency(pixels: typing.Sequence[typing.Sequence[int]]) -> list[float]:
    """Returns the weight of a pixel of each class: the median of the classes' frequencies, by its own.

    Args:
        pixels: For each image, the pixels of each class.

    Returns:
        A weight a class; 0 of those that no image has.

    Source: Eigen, Fergus, "Predicting depth, surface normals and semantic labels with a common
    multi-scale convolutional architecture", ICCV 2015, section 6.3.2: the frequency of a class is its share
    of the pixels of the images that have it.
    """
    counts = np.asarray(pixels, np.float64)
    totals = counts.sum(axis=1, keepdims=True) * (counts > 0)
    present = counts.sum(axis=0) > 0
    frequency = counts.sum(axis=0)[present] / totals.sum(axis=0)[present]
    weights = present.astype(float)
    weights[present] = np.median(frequency) / frequency
    return weights.tolist()
