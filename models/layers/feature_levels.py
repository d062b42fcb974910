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
    maps = maps_by_level(source)
    wanted = {level: maps[level] for level in range(finest, coarsest + 1) if level in maps}
    halved = all(maps[level].shape[1:3] == _halved(image_shape, level) for level in wanted)
    if not halved or list(wanted) != list(range(finest, finest + max(len(wanted), 1))):
        raise ValueError(
            f"expected a backbone with feature maps of stride {2**finest} and on, each half of the one before"
            f" (some need images whose sides are multiples of {2**coarsest})."
            f" Received: {backbone['family']!r}, with strides {[2**level for level in maps]}"
            f" for images of {image_shape[0]}x{image_shape[1]}"
        )
    return FeatureLevels(source, source.inputs[0], wanted)


def maps_by_level(network: keras.Model) -> dict[int, keras.KerasTensor]:
    """Returns level -> the last feature map of that stride, fine to coarse; of a model within too.

    Strides are those of the layers, whatever the images' size.

    Args:
        network: A functional model of images.
    """
    strides = {id(tensor): 1 for tensor in network.inputs}
    found: dict[int, keras.KerasTensor] = {}
    for operation in network.operations:
        node = operation._inbound_nodes[-1]
        if not node.input_tensors:
            continue
        stride = max(strides.get(id(tensor), 1) for tensor in node.input_tensors) * _stride(operation)
        strides |= {id(tensor): stride for tensor in node.output_tensors}
        if isinstance(operation, keras.Model):  # of a backbone that was trained before
            found |= _opened(operation, node.input_tensors)
        elif len(node.output_tensors[0].shape) == 4 and not isinstance(operation, keras.layers.ZeroPadding2D):
            found[stride] = node.output_tensors[0]
    return {level: found[2**level] for level in range(12) if 2**level in found}


def _opened(network: keras.Model, tensors: list[keras.KerasTensor]) -> dict[int, keras.KerasTensor]:
    """Returns stride -> map of a model within."""
    inner = maps_by_level(network)
    opened = keras.Model(network.inputs, list(inner.values()), name=network.name)
    outer = keras.tree.flatten(opened(tensors))
    return {2**level: tensor for level, tensor in zip(inner, outer, strict=True)}


def _stride(operation: keras.Operation) -> int:
    strides = getattr(operation, "strides", 1)
    return max(strides) if isinstance(strides, tuple | list) else int(strides)


def _halved(size: tuple[int, ...], level: int) -> tuple[int, ...]:
    """Returns rows and columns of a map whose every stride rounds up."""
    return tuple(-(-side // 2**level) for side in size[:2])
