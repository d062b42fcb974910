"""The base of the families of segmentation."""

import typing

import tensorflow as tf

from conveyor.models.model import Model


class Segmenter(Model):
    """A model from images to logits of each pixel; `arguments["shifts"]` are passes that serving adds."""

    def serve(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the logits of images, averaged over passes of the images as they are and moved.

        A network with strides answers a little differently where an image is moved by less than a stride.
        Of each pass, what left the frame plays no part.

        Args:
            inputs: float32 [n, height, width, channels].

        Returns:
            float32 [n, height, width, classes].

        Source: the mean over shifts: Coifman, Donoho, "Translation-invariant de-noising", in "Wavelets and
        statistics", 1995. Long et al., CVPR 2015, section 3.2, shift images to undo strides.
        """
        shifts = self.arguments["shifts"]
        if not shifts:
            return super().serve(inputs)
        views = tf.concat([inputs, *(_moved(inputs, shift) for shift in shifts)], 0)
        total, *others = tf.split(super().serve(views), 1 + len(shifts))
        count: typing.Any = 1.0
        for shift, logits in zip(shifts, others, strict=True):
            back, inside = _moved_back(logits, shift)
            total, count = total + back * inside, count + inside
        return total / count


def _moved(images: tf.Tensor, shift: int) -> tf.Tensor:
    """Returns images of the same size, moved down and to the right; what comes before mirrors them."""
    for axis in (1, 2):
        side = tf.shape(images)[axis]
        place = tf.range(side)
        before = tf.maximum(place - shift, shift - 1 - place)
        images = tf.gather(images, tf.minimum(before, side - 1), axis=axis)
    return images


def _moved_back(maps: tf.Tensor, shift: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns maps moved up and to the left, and float32 [height, width, 1]: 1 where they were not left."""
    inside = tf.ones([1, 1, 1])
    for axis in (1, 2):
        side = tf.shape(maps)[axis]
        after = tf.range(side) + shift
        maps = tf.gather(maps, tf.minimum(after, side - 1), axis=axis)
        there = tf.cast(after < side, tf.float32)
        inside *= there[:, tf.newaxis, tf.newaxis] if axis == 1 else there[:, tf.newaxis]
    return maps, inside
