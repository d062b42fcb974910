"""The preprocessing graph: from image bytes to model input, the same wherever it runs."""

import pathlib
import typing

import tensorflow as tf

from conveyor.components.transform.renumber import renumber
from conveyor.models.ops.images import decode_image


class Preprocessing(tf.Module):
    """Decodes, resizes and normalises images.

    Args:
        document: `height`, `width`, `channels`, `mean`, `std` (per channel, of [0, 255]).
    """

    def __init__(self, document: dict[str, typing.Any]):
        super().__init__()
        self.size = (document["height"], document["width"])
        self.channels = document["channels"]
        self.mean = document["mean"]
        self.std = document["std"]

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def decode(self, image: tf.Tensor) -> tf.Tensor:
        """Returns uint8 [height, width, channels] of one PNG or JPEG; of RGB, of one GIF or BMP too."""
        return decode_image(image, self.size, self.channels)

    @tf.function
    def normalize(self, pixels: tf.Tensor) -> tf.Tensor:
        """Returns float32 of the same shape: (pixels - mean) / std per channel."""
        return (tf.cast(pixels, tf.float32) - self.mean) / self.std

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def preprocess(self, images: tf.Tensor) -> tf.Tensor:
        """Returns float32 [n, height, width, channels] of n files' bytes."""
        pixels = tf.map_fn(self.decode, images, fn_output_signature=tf.uint8)
        return self.normalize(pixels)


def save(document: dict[str, typing.Any], path: pathlib.Path) -> None:
    """Saves the preprocessing as a SavedModel."""
    module = Preprocessing(document)
    shape = [None, *module.size, module.channels]
    for kind in (tf.uint8, tf.float32):  # as decoded, and as augmented
        module.normalize.get_concrete_function(tf.TensorSpec(shape, kind))
    save_module(module, path)


def load(path: pathlib.Path) -> typing.Any:
    """Loads what `save` saved: an object with `decode`, `normalize` and `preprocess`."""
    return tf.saved_model.load(str(path))


def save_module(module: tf.Module, path: pathlib.Path, signatures: typing.Any = None) -> None:
    """Saves a SavedModel with the same bytes for the same module, whatever its process did before."""
    tf.saved_model.save(module, str(path), signatures=signatures)
    # The fingerprint holds a random id; nothing needs it, and digests must not depend on chance.
    (path / "fingerprint.pb").unlink(missing_ok=True)
    renumber(path / "saved_model.pb")
