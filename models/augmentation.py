"""Random layers of Keras on batches in tf.data, each batch's randomness a function of its number."""

import inspect
import typing

import keras
import tensorflow as tf

from conveyor.models.settings import AugmentationSettings

# Keras's random layers that keep the image's size and ask nothing but their seed for randomness.
_KINDS = {
    "random_brightness": keras.layers.RandomBrightness,
    "random_color_degeneration": keras.layers.RandomColorDegeneration,
    "random_contrast": keras.layers.RandomContrast,
    "random_elastic_transform": keras.layers.RandomElasticTransform,
    "random_erasing": keras.layers.RandomErasing,
    "random_flip": keras.layers.RandomFlip,
    "random_gaussian_blur": keras.layers.RandomGaussianBlur,
    "random_grayscale": keras.layers.RandomGrayscale,
    "random_hue": keras.layers.RandomHue,
    "random_invert": keras.layers.RandomInvert,
    "random_perspective": keras.layers.RandomPerspective,
    "random_posterization": keras.layers.RandomPosterization,
    "random_rotation": keras.layers.RandomRotation,
    "random_saturation": keras.layers.RandomSaturation,
    "random_sharpness": keras.layers.RandomSharpness,
    "random_shear": keras.layers.RandomShear,
    "random_translation": keras.layers.RandomTranslation,
    "random_zoom": keras.layers.RandomZoom,
}


class _NumberedSeeds(keras.random.SeedGenerator):
    """Hands out seeds that depend on a base seed, the batch's number and the order of asking only.

    A stock SeedGenerator counts in a variable, which parallel tf.data workers would race for.
    """

    def __init__(self, base: int, number: tf.Tensor):  # not super's, which makes that variable
        self._base = base
        self._number = tf.cast(number, tf.int32)
        self._asked = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        del ordered
        self._asked += 1
        return tf.stack([tf.constant((self._base * 1000 + self._asked) % 2**31, tf.int32), self._number])


class Augmentation:
    """A chain of Keras's random image layers.

    Args:
        layers: Each a name, such as "random_translation", and the layer's arguments.
        seed: Of all randomness.

    Raises:
        ValueError: There is no such layer, or it does not take an argument or its value.
    """

    def __init__(self, layers: AugmentationSettings, seed: int):
        self.seed = seed
        self.layers = [make_layer(name, arguments) for layer in layers for name, arguments in layer.items()]

    def __call__(self, number: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
        """Augments a batch.

        Args:
            number: int64 [], another for each batch; decides all that is random.
            pixels: uint8 or float [n, height, width, channels] in [0, 255].

        Returns:
            float32 of the same shape.
        """
        pixels = tf.cast(pixels, tf.float32)
        for position, layer in enumerate(self.layers):
            seeds = _NumberedSeeds(self.seed * 100 + position, number)
            drawn = layer.get_random_transformation(pixels, training=True, seed=seeds)
            pixels = layer.transform_images(pixels, drawn, training=True)
        return pixels


def make_layer(name: str, arguments: dict[str, typing.Any]) -> keras.Layer:
    """Returns the Keras layer of a name in snake case, for pixels in [0, 255].

    Raises:
        ValueError: There is no such layer, or it does not take an argument or its value.
    """
    if name not in _KINDS:
        raise ValueError(f"expected one of {', '.join(_KINDS)}. Received: {name}")
    takes = set(inspect.signature(_KINDS[name].__init__).parameters) - {"self", "kwargs"}
    if unknown := sorted(set(arguments) - takes):
        raise ValueError(f"{name}: expected arguments {', '.join(sorted(takes))}. Received: {unknown[0]}")
    if "value_range" in takes:
        arguments = {"value_range": (0, 255), **arguments}
    try:
        return _KINDS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
