"""Convolutional autoencoders."""

import math

import keras

from conveyor.models.autoencoder.sampling import Sampling
from conveyor.models.model import Model


@keras.saving.register_keras_serializable("conveyor")
class Autoencoder(Model):
    """An encoder of strided convolutions, a code, and a decoder that mirrors the encoder.

    Args:
        image_shape: (height, width, channels) of the model input; any size that can be halved once
            for each of the filters.
        filters: Number of filters in each level.
        convolutions: Convolutions in each level.
        kernel_size: Side of the kernels, in pixels.
        activation: A Keras activation.
        code: Numbers in a dense code; 0 for a code with places.
        code_channels: Channels of a code with places; 0 for the last of the filters.
        variational: Whether the code is drawn in training; else, and in prediction, it is its mean.
        beta: Weight of the KL divergence; at 1, with a loss that is the mean over pixels, the whole
            is the negative evidence lower bound per pixel.

    Returns:
        A model from float32 [n, height, width, channels] to `reconstruction`, float32 of the same
        shape in [0, 1], and `code`, float32 [n, numbers].

    Raises:
        ValueError: The image is smaller than one place of the code.

    Source: Hinton, Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science
    313, 2006; Vincent et al., "Extracting and composing robust features with denoising autoencoders",
    ICML 2008; Kingma, Welling, "Auto-encoding variational Bayes", ICLR 2014; Higgins et al.,
    "beta-VAE", ICLR 2017.
    """

    def __init__(
        self,
        image_shape,
        filters=(32, 64),
        convolutions=1,
        kernel_size=3,
        activation="relu",
        code=0,
        code_channels=0,
        variational=False,
        beta=1.0,
        **kwargs,
    ):
        # === layers ===
        shared = {"padding": "same", "activation": activation, "kernel_initializer": "he_normal"}
        sides = _sides(image_shape, len(filters))
        encoder = _encoder(filters, convolutions, kernel_size, shared)
        decoder = _decoder(filters, convolutions, kernel_size, shared, sides)
        last = {"padding": "same", "activation": "sigmoid", "dtype": "float32"}
        reconstruct = keras.layers.Conv2D(image_shape[-1], kernel_size, **last, name="reconstruction")
        flatten = keras.layers.Flatten(dtype="float32", name="code")
        # === functional ===
        inputs = keras.Input(image_shape, name="image")
        features = _chain(encoder, inputs)
        drawn = _code(features, code, code_channels, beta / math.prod(image_shape) if variational else None)
        maps = _from_dense(drawn, features.shape[1:]) if code else drawn
        outputs = {"reconstruction": reconstruct(_chain(decoder, maps)), "code": flatten(drawn)}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.features_layer = encoder[-1].name
        # === config ===
        self.arguments = {
            "image_shape": tuple(image_shape),
            "filters": list(filters),
            "convolutions": convolutions,
            "kernel_size": kernel_size,
            "activation": activation,
            "code": code,
            "code_channels": code_channels,
            "variational": variational,
            "beta": beta,
        }


def _sides(image_shape, levels):
    """Returns height and width before the first level and after each."""
    if min(image_shape[:2]) < 2**levels:
        raise ValueError(
            f"expected images of at least {2**levels} pixels a side, which {levels} levels halve. "
            f"Received: image_shape={tuple(image_shape)}"
        )
    return [tuple(math.ceil(side / 2**level) for side in image_shape[:2]) for level in range(levels + 1)]


def _encoder(filters, convolutions, kernel_size, shared):
    """Returns the layers of all levels; the first convolution of each halves the image."""
    return [
        keras.layers.Conv2D(
            count, kernel_size, 2 if number == 1 else 1, **shared, name=f"encode_{level}_{number}"
        )
        for level, count in enumerate(filters, 1)
        for number in range(1, convolutions + 1)
    ]


def _decoder(filters, convolutions, kernel_size, shared, sides):
    """Returns the layers of all levels from the last to the first, each to its level's size."""
    made: list[keras.Layer] = []
    for level, count in reversed(list(enumerate(filters, 1))):
        name = f"decode_{level}"
        made.append(keras.layers.Conv2DTranspose(count, kernel_size, 2, **shared, name=f"{name}_1"))
        over = [2 * small - large for small, large in zip(sides[level], sides[level - 1], strict=True)]
        if any(over):  # an odd side became a half rounded up
            made.append(keras.layers.Cropping2D(((0, over[0]), (0, over[1])), name=f"crop_{level}"))
        made += [
            keras.layers.Conv2D(count, kernel_size, **shared, name=f"{name}_{number}")
            for number in range(2, convolutions + 1)
        ]
    return made


def _chain(layers, features):
    for layer in layers:
        features = layer(features)
    return features


def _code(features, code, channels, divergence):
    """Returns the code: the features themselves, or what is made of them.

    Args:
        features: The last maps.
        code: Numbers in a dense code; 0 for one with places.
        channels: Channels of a code with places; 0 for those that the features have.
        divergence: Weight of the KL divergence; None for a code that is not drawn.
    """
    if code:
        features = keras.layers.Flatten(name="flatten")(features)
    elif not channels and divergence is None:
        return features

    def project(name):
        if code:
            return keras.layers.Dense(code, name=name)(features)
        return keras.layers.Conv2D(channels or features.shape[-1], 1, name=name)(features)

    if divergence is None:
        return project("project")
    return Sampling(divergence, name="sampling")([project("mean"), project("log_variance")])


def _from_dense(code, maps):
    """Returns maps of a shape (rows, columns, channels), made of a dense code."""
    spread = keras.layers.Dense(math.prod(maps), activation="relu", name="spread")(code)
    return keras.layers.Reshape(maps, name="maps")(spread)
