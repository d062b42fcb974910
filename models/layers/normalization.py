"""The normalisations that networks of convolutions are made with."""

import math
import typing

import keras

from conveyor.models.layers.batch_normalization import BatchNormalization

_GROUPS = 32  # Wu, He, section 3; fewer where channels do not divide


def normalization_layer(
    kind: str, channels: int, name: str, momentum: float, **options: typing.Any
) -> keras.Layer:
    """Returns a layer that normalises maps and then scales and moves each channel.

    Args:
        kind: "batch": over the images of a batch, with moving statistics in prediction; "group": over the
            pixels of an image and a part of its channels; "layer": over the channels of each pixel.
        channels: Of the maps.
        name: Of the layer.
        momentum: Of the moving statistics of "batch", in [0, 1).
        options: Of the layer, such as `epsilon`; what all three take.

    Source: Ioffe, Szegedy, "Batch Normalization", ICML 2015; Wu, He, "Group Normalization", ECCV 2018; Ba,
    Kiros, Hinton, "Layer Normalization", 2016.
    """
    if kind == "batch":
        return BatchNormalization(momentum=momentum, name=name, **options)
    if kind == "layer":
        return keras.layers.LayerNormalization(name=name, **options)
    return keras.layers.GroupNormalization(math.gcd(channels, _GROUPS), name=name, **options)
