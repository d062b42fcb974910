"""DeepLab: an atrous spatial pyramid, and a decoder."""

import keras

from conveyor.models.layers.enlarging import Enlarge
from conveyor.models.segmentation.blocks import Blocks
from conveyor.models.segmentation.segmenter import Segmenter
from conveyor.models.segmentation.size import cropped
from conveyor.models.segmentation.trunk import trunk


@keras.saving.register_keras_serializable("conveyor")
class DeepLab(Segmenter):
    """Blocks of convolutions, dilated convolutions side by side, and a decoder that has a finer map too.

    Args:
        image_shape: (height, width, channels) of the model input; sides may be None, and any number.
        classes: Number of logits of a pixel.
        normalization: "none", "batch", "group" or "layer"; between convolution and activation.
        activation: A Keras activation.
        separable: Whether a convolution is a filter for each channel, then 1x1.
        dropout: Share in [0, 1) of the pyramid's maps dropped in training.
        backbone: Settings of a classifier, with its `family`, in place of the blocks; or None.
        shifts: Pixels by which images are moved for passes that `serve` adds, see `Segmenter`.
        filters: Of each block. Play no part with a backbone.
        convolutions: In each block.
        stem_strides: 1, 2 or 4: of a first convolution. Plays no part with a backbone.
        rates: Dilations of the pyramid.
        pyramid_filters: Of each branch of it.
        image_pooling: Whether a branch has the mean of the whole image.
        output_level: Of a backbone: log2 of the stride that the pyramid looks at.
        low_level: log2 of the stride of the finer map; at least that of the stem.
        low_level_filters: To which its channels are brought.

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, height, width, classes].

    Raises:
        ValueError: The backbone cannot be made for such images, or there is no map of a level.

    Source: Chen et al., "Encoder-decoder with atrous separable convolution for semantic image
    segmentation", ECCV 2018, figure 2. The image's mean is added after the 1x1 convolution that joins the
    branches, which is the same as joining it and needs no enlarging.
    """

    def __init__(
        self,
        image_shape,
        classes,
        normalization="batch",
        activation="relu",
        separable=False,
        dropout=0.0,
        backbone=None,
        shifts=(),
        filters=(32, 64, 128, 256),
        convolutions=2,
        stem_strides=1,
        rates=(2, 4, 8),
        pyramid_filters=128,
        image_pooling=True,
        output_level=4,
        low_level=2,
        low_level_filters=32,
        **kwargs,
    ):
        stem = stem_strides.bit_length() - 1
        # === layers ===
        blocks = Blocks(normalization, activation, separable)
        drop = keras.layers.SpatialDropout2D(dropout, name="dropout")
        # === functional ===
        image = keras.Input(image_shape, name="image")
        source, maps = trunk(image, backbone, filters, convolutions, blocks, stem)
        level = output_level if backbone else max(maps)
        _check_levels(maps, level, low_level)
        features = _pyramid(maps[level], rates, pyramid_filters, image_pooling, blocks)
        features = drop(features) if dropout else features
        factor = 2 ** (level - low_level)
        larger = Enlarge(factor, name="larger")(features)
        low = blocks(maps[low_level], low_level_filters, "low", kernel_size=1)
        joined = keras.layers.Concatenate(name="join")([larger, low])
        features = blocks(joined, pyramid_filters, "decoder", 2)
        scores = keras.layers.Conv2D(classes, 1, dtype="float32", name="logits")(features)
        logits = Enlarge(2**low_level, dtype="float32", name="pixels")(scores)
        super().__init__(inputs=image, outputs=cropped(logits, image), **kwargs)
        if source:
            self.stands_on(source)
        self.features_layer = features._keras_history.operation.name
        # === config ===
        self.arguments = {
            "image_shape": tuple(image_shape),
            "classes": classes,
            "normalization": normalization,
            "activation": activation,
            "separable": separable,
            "dropout": dropout,
            "backbone": backbone,
            "shifts": list(shifts),
            "filters": list(filters),
            "convolutions": convolutions,
            "stem_strides": stem_strides,
            "rates": list(rates),
            "pyramid_filters": pyramid_filters,
            "image_pooling": image_pooling,
            "output_level": output_level,
            "low_level": low_level,
            "low_level_filters": low_level_filters,
        }


def _check_levels(maps, output_level, low_level):
    for name, level in (("output_level", output_level), ("low_level", low_level)):
        if level not in maps:
            known = ", ".join(map(str, maps))
            raise ValueError(f"expected {name} of {known}, as there are no other maps. Received: {level}")
    if low_level > output_level:
        raise ValueError(f"expected low_level up to {output_level}. Received: {low_level}")


def _pyramid(features, rates, filters, image_pooling, blocks):
    """Returns what near and far tell of each place."""
    branches = [blocks(features, filters, "near", kernel_size=1)]
    branches += [blocks(features, filters, f"rate_{rate}", dilation=rate) for rate in rates]
    joined = keras.layers.Concatenate(name="pyramid")(branches)
    made = keras.layers.Conv2D(filters, 1, use_bias=False, name="pyramid_conv")(joined)
    if image_pooling:
        mean = keras.layers.GlobalAveragePooling2D(keepdims=True, name="image_mean")(features)
        mean = keras.layers.Conv2D(filters, 1, activation="relu", name="image_conv")(mean)
        whole = keras.layers.Conv2D(filters, 1, use_bias=False, name="image_last")(mean)
        made = keras.layers.Add(name="pyramid_sum")([made, whole])
    return blocks(made, filters, "pyramid_last", kernel_size=1)
