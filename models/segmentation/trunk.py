"""The beginning of a segmenter: feature maps by level, of its own or of a classifier."""

import typing

import keras

from conveyor.models.build import family_class
from conveyor.models.model import Model
from conveyor.models.segmentation.blocks import Blocks

Maps = dict[int, keras.KerasTensor]  # level -> map; a place of level 3 is 2^3 = 8 pixels from the next


def own_maps(
    images: keras.KerasTensor,
    filters: typing.Sequence[int],
    convolutions: int,
    blocks: Blocks,
    stem: int = 0,
    pooled: bool = False,
) -> Maps:
    """Makes a block for each of `filters`, with pooling between.

    Args:
        images: Whose sides are multiples of the last level's stride.
        filters: Of each block.
        convolutions: In each block.
        blocks: Makes them.
        stem: Level of the first block: of a convolution with a stride of 2^stem before it, if above 0.
        pooled: Whether the maps are those after each pooling, and not those before it; the first block's,
            before any pooling, is there in both cases.
    """
    maps: Maps = {}
    features = images
    if stem:
        features = blocks(images, filters[0], "stem", kernel_size=2 ** (stem + 1) - 1, strides=2**stem)
    for level, count in enumerate(filters, stem):
        block = blocks(features, count, f"down_{level}", convolutions)
        features = keras.layers.MaxPooling2D(name=f"pool_{level}")(block)
        maps |= {level + 1: features} if pooled else {level: block}
        maps.setdefault(stem, block)
    return dict(sorted(maps.items()))


def classifier_maps(images: keras.KerasTensor, backbone: dict[str, typing.Any]) -> tuple[Model, Maps]:
    """Makes a classifier without its head, works on images with it, and returns its last map of each level.

    Args:
        images: Whose sides are multiples of the last level's stride; they may be unknown.
        backbone: Which classifier: `family`, and its other settings.

    Returns:
        The classifier, which says how its weights learn; and the maps.

    Raises:
        ValueError: It cannot be made for such images, or has no feature maps.
    """
    settings = {name: value for name, value in backbone.items() if name != "family"}
    if "head" in settings:  # it is left off, and must be one that any size suits
        settings["head"] = "global_average"
    source = family_class(backbone["family"])(tuple(images.shape[1:]), 1, **settings)
    found = _levels(source, source.inputs)
    if not found:
        raise ValueError(f"expected a backbone with feature maps. Received: {backbone['family']!r}")
    network = keras.Model(source.inputs, list(found.values()), name="backbone")
    return source, dict(zip(found, keras.tree.flatten(network([images])), strict=True))


def _levels(network: keras.Model, inputs: list[keras.KerasTensor]) -> Maps:
    """Returns the last feature map of each stride that is a power of two above 1, fine to coarse."""
    strides = {id(tensor): 1 for tensor in inputs}
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
    return {level: found[2**level] for level in range(1, 12) if 2**level in found}


def _opened(network: keras.Model, tensors: list[keras.KerasTensor]) -> dict[int, keras.KerasTensor]:
    """Returns stride -> map of a model within."""
    inner = _levels(network, network.inputs)
    opened = keras.Model(network.inputs, list(inner.values()), name=network.name)
    outer = keras.tree.flatten(opened(tensors))
    return {2**level: tensor for level, tensor in zip(inner, outer, strict=True)}


def _stride(operation: keras.Operation) -> int:
    strides = getattr(operation, "strides", 1)
    return max(strides) if isinstance(strides, tuple | list) else int(strides)
