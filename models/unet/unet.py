"""U-Nets."""

import keras

from conveyor.models.layers.enlarging import Enlarge, PixelShuffle
from conveyor.models.segmentation.blocks import Blocks
from conveyor.models.segmentation.segmenter import Segmenter
from conveyor.models.segmentation.size import cropped
from conveyor.models.segmentation.trunk import trunk


@keras.saving.register_keras_serializable("conveyor")
class UNet(Segmenter):
    """Blocks of convolutions with pooling between, then up again beside the maps of the way down.

    Args:
        image_shape: (height, width, channels) of the model input; sides may be None, and any number.
        classes: Number of logits of a pixel.
        normalization: "none", "batch", "group" or "layer"; between convolution and activation.
        activation: A Keras activation.
        separable: Whether a convolution is a filter for each channel, then 1x1.
        dropout: Share in [0, 1) of the smallest maps dropped in training.
        backbone: Settings of a classifier, with its `family`, for the way down; None for blocks.
        shifts: Pixels by which images are moved for passes that `serve` adds, see `Segmenter`.
        filters: Of each level. With a backbone only as many as it has levels play a part.
        convolutions: In each block.
        stem_strides: 1, 2 or 4: of a first convolution. Plays no part with a backbone.
        upsampling: "transposed" or "bilinear".

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, height, width, classes].

    Raises:
        ValueError: The backbone cannot be made for such images.

    Source: Ronneberger, Fischer, Brox, "U-Net: Convolutional networks for biomedical image
    segmentation", MICCAI 2015, figure 1; with padding, so that no border is lost. Of a strided stem the
    pixels are told apart as in Shi et al., CVPR 2016 (see `PixelShuffle`).
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
        upsampling="transposed",
        **kwargs,
    ):
        stem = stem_strides.bit_length() - 1
        # === layers ===
        blocks = Blocks(normalization, activation, separable)
        drop = keras.layers.SpatialDropout2D(dropout, name="dropout")
        # === functional ===
        image = keras.Input(image_shape, name="image")
        source, maps = trunk(image, backbone, filters, convolutions, blocks, stem)
        *levels, level = maps
        features = drop(maps[level]) if dropout else maps[level]
        widths = dict(zip(maps, [*filters, *[filters[-1]] * len(maps)], strict=False))
        for level in reversed(levels):
            larger = _doubled(features, widths[level], level, upsampling)
            joined = keras.layers.Concatenate(name=f"join_{level}")([maps[level], larger])
            features = blocks(joined, widths[level], f"up_{level}", convolutions)
        factor = 2**level
        logits = keras.layers.Conv2D(classes * factor**2, 1, dtype="float32", name="logits")(features)
        if factor > 1:
            logits = PixelShuffle(factor, dtype="float32", name="pixels")(logits)
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
            "upsampling": upsampling,
        }


def _doubled(features, filters, level, how):
    """Returns maps of twice the size."""
    if how == "bilinear":
        return Enlarge(2, name=f"larger_{level}")(features)
    return keras.layers.Conv2DTranspose(filters, 2, 2, name=f"larger_{level}")(features)
