"""The preprocessing graph: from image bytes to model input, the same wherever it runs."""

import pathlib
import typing

import tensorflow as tf

from conveyor.components.transform.renumber import renumber
from conveyor.models.ops.frames import Frame
from conveyor.models.ops.images import decode_framed, pad, padded_size


class Preprocessing(tf.Module):
    """Decodes, resizes and normalises images.

    Args:
        document: `height`, `width`, `channels`, `mean`, `std` (per channel, of [0, 255]), `resize`,
            `stride` and `fill` (per channel: the colour of padding).
    """

    def __init__(self, document: dict[str, typing.Any]):
        super().__init__()
        self.size = (document["height"], document["width"])
        self.channels = document["channels"]
        self.mean = document["mean"]
        self.std = document["std"]
        self.resize = document["resize"]
        self.stride = document["stride"]
        self.fill = document["fill"]

    @property
    def shape(self) -> list[int | None]:
        """Height, width and channels of a decoded image; None where each has its own."""
        return [*((None, None) if self.resize == "none" else self.size), self.channels]

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def decode(self, image: tf.Tensor) -> tf.Tensor:
        """Returns uint8 [height, width, channels] of one image as it is stored."""
        return self._read(image)[0]

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def frame(self, image: tf.Tensor) -> Frame:
        """Returns how one image lies in the model's input: see `conveyor.models.ops.frames`."""
        return self._read(image)[1]

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def read(self, image: tf.Tensor) -> tuple[tf.Tensor, Frame]:
        """Returns what `decode` and `frame` do; the image is decoded once."""
        return self._read(image)

    def _read(self, image: tf.Tensor, stored: bool = True) -> tuple[tf.Tensor, Frame]:
        return decode_framed(image, self.size, self.channels, self.resize, self.fill, stored)

    def _read_any(self, image: tf.Tensor) -> tuple[tf.Tensor, Frame]:
        return self._read(image, stored=False)

    @tf.function
    def normalize(self, pixels: tf.Tensor) -> tf.Tensor:
        """Returns float32 of the same shape: (pixels - mean) / std per channel."""
        return (tf.cast(pixels, tf.float32) - self.mean) / self.std

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def preprocess(self, images: tf.Tensor) -> tuple[tf.Tensor, Frame]:
        """Returns float32 [n, height, width, channels] of n files' bytes, and their frames.

        This is what is served, so files may be as a camera makes them: turned by EXIF, or transparent.
        """
        frame = {"sizes": tf.TensorSpec([2], tf.int32), "scales": tf.TensorSpec([2], tf.float32)}
        if self.resize == "none":
            pixels, frames = self._read_whole(images, frame)
        else:
            pixels, frames = tf.map_fn(self._read_any, images, fn_output_signature=(tf.uint8, frame))
        return self.normalize(pixels), frames

    def _read_whole(self, images: tf.Tensor, frame: Frame) -> tuple[tf.Tensor, Frame]:
        """Returns uint8 images, padded like the largest, and their frames."""

        def flat(image: tf.Tensor) -> tuple[tf.Tensor, Frame]:
            pixels, frame = self._read_any(image)
            return tf.reshape(pixels, [-1]), frame

        def padded(item: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            pixels, size = item
            return pad(tf.reshape(pixels, [*tf.unstack(size), self.channels]), largest, self.fill)

        ragged = tf.RaggedTensorSpec([None], tf.uint8, 0, tf.int64)
        pixels, frames = tf.map_fn(flat, images, fn_output_signature=(ragged, frame))
        largest = padded_size(frames["sizes"], self.stride)
        whole = tf.cond(  # TensorFlow cannot stack nothing
            tf.shape(images)[0] > 0,
            lambda: tf.map_fn(padded, (pixels, frames["sizes"]), fn_output_signature=tf.uint8),
            lambda: tf.zeros([0, *tf.unstack(largest), self.channels], tf.uint8),
        )
        return tf.ensure_shape(whole, [None, None, None, self.channels]), frames


def save(document: dict[str, typing.Any], path: pathlib.Path) -> None:
    """Saves the preprocessing as a SavedModel."""
    module = Preprocessing(document)
    shape = [None, *module.shape]
    for kind in (tf.uint8, tf.float32):  # as decoded, and as augmented
        module.normalize.get_concrete_function(tf.TensorSpec(shape, kind))
    save_module(module, path)


def load(path: pathlib.Path) -> typing.Any:
    """Loads what `save` saved: an object with `decode`, `frame`, `read`, `normalize` and `preprocess`."""
    return tf.saved_model.load(str(path))


def save_module(module: tf.Module, path: pathlib.Path, signatures: typing.Any = None) -> None:
    """Saves a SavedModel with the same bytes for the same module, whatever its process did before."""
    tf.saved_model.save(module, str(path), signatures=signatures)
    # The fingerprint holds a random id; nothing needs it, and digests must not depend on chance.
    (path / "fingerprint.pb").unlink(missing_ok=True)
    renumber(path / "saved_model.pb")
