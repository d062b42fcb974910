"""The beginning of a segmenter: feature maps by level, of its own or of a classifier."""

import typing

import keras

from conveyor.models.build import family_class
from conveyor.models.layers.feature_levels import maps_by_level
from conveyor.models.model import Model
from conveyor.models.segmentation.blocks import Blocks
from conveyor.models.segmentation.size import padded

_CLASSIFIER_STRIDE = 32  # no classifier's last maps are coarser

Pooled = typing.Literal["none", "last", "all"]
Maps = dict[int, keras.KerasTensor]  # level -> map; a place of level 3 is 2^3 = 8 pixels from the next


def trunk(
    image: keras.KerasTensor,
    backbone: dict[str, typing.Any] | None,
    filters: typing.Sequence[int],
    convolutions: int,
    blocks: Blocks,
    stem: int = 0,
    pooled: Pooled = "none",
) -> tuple[Model | None, Maps]:
    """Returns the classifier that is stood on, if any, and the maps of an image, padded to whole strides.

    Args:
        image: Of any size.
        backbone: Settings of a classifier, with its `family`; None for blocks, as `own_maps` makes them.
        filters: See `own_maps`, as all that follows.
        convolutions: In each block.
        blocks: Makes them.
        stem: Level of the first block.
        pooled: Which maps are those after pooling.

    Raises:
        ValueError: The classifier cannot be made for such images, or has no feature maps.
    """
    if backbone:
        return classifier_maps(padded(image, _CLASSIFIER_STRIDE), backbone)
    images = padded(image, 2 ** (stem + len(filters) - (pooled == "none")))
    return None, own_maps(images, filters, convolutions, blocks, stem, pooled)


def own_maps(
    images: keras.KerasTensor,
    filters: typing.Sequence[int],
    convolutions: int,
    blocks: Blocks,
    stem: int = 0,
    pooled: Pooled = "none",
) -> Maps:
    """Makes a block for each of `filters`, with pooling between.

    Args:
        images: Whose sides are multiples of the last level's stride.
        filters: Of each block.
        convolutions: In each block.
        blocks: Makes them.
        stem: Level of the first block: of a convolution with a stride of 2^stem before it, if above 0.
        pooled: Which maps are those after pooling: "none", "last", one more, or "all" but the first.
    """
    maps: Maps = {}
    features = images
    if stem:
        features = blocks(images, filters[0], "stem", kernel_size=2 ** (stem + 1) - 1, strides=2**stem)
    for level, count in enumerate(filters, stem):
        block = blocks(features, count, f"down_{level}", convolutions)
        features = keras.layers.MaxPooling2D(name=f"pool_{level}")(block)
        maps.setdefault(level, block)
        if pooled == "all" or (pooled == "last" and level == stem + len(filters) - 1):
            maps[level + 1] = features
    return maps


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
    found = {level: tensor for level, tensor in maps_by_level(source).items() if level}
    if not found:
        raise ValueError(f"expected a backbone with feature maps. Received: {backbone['family']!r}")
    network = keras.Model(source.inputs, list(found.values()), name="backbone")
    return source, dict(zip(found, keras.tree.flatten(network([images])), strict=True))
