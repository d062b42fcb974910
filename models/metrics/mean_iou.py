"""Mean intersection over union while a network of pixels is trained."""

import typing

import keras
import tensorflow as tf

from conveyor.models.void import VOID


@keras.saving.register_keras_serializable("conveyor")
class MeanIoU(keras.metrics.MeanIoU):
    """Keras's metric of masks with void and of logits, several times as fast.

    The likeliest class is found with the classes in front, one after another: `tf.argmax` over few numbers
    in a row takes longer than a convolution.

    Args:
        classes: How many there are.
        name: Of the metric.
        dtype: Of the counts.
    """

    def __init__(self, classes: int, name: str = "mean_iou", dtype: typing.Any = None):
        super().__init__(classes, name=name, dtype=dtype, ignore_class=VOID, sparse_y_pred=False)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts pixels.

        Args:
            y_true: [n, height, width, 1], class indices, or 255 for void.
            y_pred: float [n, height, width, classes], logits.
            sample_weight: Of pixels; Keras counts them then.
        """
        if sample_weight is not None:
            return super().update_state(y_true, y_pred, sample_weight)
        best = _best if None in y_pred.shape[1:] else _compiled  # once for each shape
        truth, count = tf.cast(tf.reshape(y_true, [-1]), tf.int32), self.num_classes
        pairs = tf.where(truth == VOID, count * count, truth * count + best(y_pred))
        found = tf.math.bincount(pairs, minlength=count * count + 1, maxlength=count * count + 1)[:-1]
        return self.total_cm.assign_add(tf.cast(tf.reshape(found, [count, count]), self.dtype))

    def get_config(self) -> dict[str, typing.Any]:
        return {"classes": self.num_classes, "name": self.name, "dtype": self.dtype}


def _best(logits: typing.Any) -> typing.Any:
    """Returns the likeliest class of each pixel, int32 [pixels]; of equals the first."""
    maps = tf.unstack(tf.reshape(tf.transpose(logits, [3, 0, 1, 2]), [logits.shape[-1], -1]))
    highest, found = maps[0], tf.zeros_like(maps[0], tf.int32)
    for index, values in enumerate(maps[1:], 1):
        found = tf.where(values > highest, index, found)
        highest = tf.maximum(highest, values)
    return found


_compiled = tf.function(_best, jit_compile=True, autograph=False)
