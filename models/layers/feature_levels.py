"""The maps of a network by level: level 3 is the last whose stride is 2^3 = 8 pixels."""

import typing

import keras

from conveyor.models.build import family_class
from conveyor.models.model import Model


class FeatureLevels(typing.NamedTuple):
    """A classifier's network as the beginning of another.

    Args:
        source: The classifier; it says which weights were trained before, and how they learn.
        inputs: Its input.
        maps: Level -> last feature map of that level, fine to coarse.
    """

    source: Model
    inputs: keras.KerasTensor
    maps: dict[int, keras.KerasTensor]


def feature_levels(
    backbone: dict[str, typing.Any], image_shape: tuple[int, ...], finest: int, coarsest: int
) -> FeatureLevels:
    """Makes a classifier without its head, and finds its feature maps.

    Args:
        backbone: Which classifier: `family`, and its other settings.
        image_shape: (height, width, channels) of the model input.
        finest: The first level wanted.
        coarsest: The last; what the network lacks at the end is left out.

    Raises:
        ValueError: It lacks a level between, or the first.
    """
    settings = {name: value for name, value in backbone.items() if name != "family"}
    source = family_class(backbone["family"])(tuple(image_shape), 1, **settings)
    maps = _levels(source.layers, image_shape[:2])
    for layer in source.layers:
        if isinstance(layer, keras.Model):  # as a backbone that was trained before; its maps are within
            inner = _levels(layer.layers, image_shape[:2])
            opened = keras.Model(layer.inputs, list(inner.values()), name=layer.name)
            maps = dict(
                zip(inner, keras.tree.flatten(opened(layer._inbound_nodes[-1].input_tensors)), strict=True)
            )
    wanted = {level: maps[level] for level in range(finest, coarsest + 1) if level in maps}
    if not wanted or list(wanted) != list(range(finest, finest + len(wanted))):
        raise ValueError(
            f"expected a backbone with feature maps of stride {2**finest} and on, each half of the one before"
            f" (some need images whose sides are multiples of {2**coarsest})."
            f" Received: {backbone['family']!r}, with strides {[2**level for level in maps]}"
            f" for images of {image_shape[0]}x{image_shape[1]}"
        )
    return FeatureLevels(source, source.inputs[0], wanted)


def _levels(layers: list[typing.Any], size: tuple[int, ...]) -> dict[int, keras.KerasTensor]:
    """Returns level -> the last map of that stride."""
    sides = {_halved(size, level): level for level in range(10, -1, -1)}  # of equal ones the finest
    found = {}
    for layer in layers:
        if not isinstance(layer, keras.layers.InputLayer) and len(layer.output.shape) == 4:
            level = sides.get(tuple(layer.output.shape[1:3]))
            if level is not None:
                found[level] = layer.output
    return dict(sorted(found.items()))


def _halved(size: tuple[int, ...], level: int) -> tuple[int, ...]:
    return tuple(-(-side // 2**level) for side in size)
