"""Fully convolutional networks."""

import keras

from conveyor.models.layers.enlarging import PixelShuffle
from conveyor.models.ops.upsampling import BilinearUpsampling
from conveyor.models.segmentation.blocks import Blocks
from conveyor.models.segmentation.segmenter import Segmenter
from conveyor.models.segmentation.size import cropped
from conveyor.models.segmentation.trunk import Pooled, trunk

_POOLED: dict[str, Pooled] = {"pooling": "all", "blocks": "last"}


@keras.saving.register_keras_serializable("conveyor")
class FCN(Segmenter):
    """Blocks of convolutions and pooling; the last maps are scored, and their scores enlarged and summed.

    Args:
        image_shape: (height, width, channels) of the model input; sides may be None, and any number.
        classes: Number of logits of a pixel.
        normalization: "none", "batch", "group" or "layer"; between convolution and activation.
        activation: A Keras activation.
        separable: Whether a convolution is a filter for each channel, then 1x1.
        dropout: Share in [0, 1) of the head's maps dropped in training.
        backbone: Settings of a classifier, with its `family`, in place of the blocks; or None.
        shifts: Pixels by which images are moved for passes that `serve` adds, see `Segmenter`.
        filters: Of each block. Play no part with a backbone.
        convolutions: In each block.
        stem_strides: 1, 2 or 4: of a first convolution. Plays no part with a backbone.
        skips: Finer maps that are scored too; with five blocks 0, 1 and 2 are FCN-32s, -16s and -8s; 5 has
            the first block's map before pooling too, in which each place scores the pixels of the stem's
            stride apart.
        skips_from: "pooling", whose maps are the finer ones, or "blocks": theirs before pooling.
        head_filters: Of the two convolutions before the last map is scored; 0 for none.
        head_kernel: Side of the first of them.

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, height, width, classes].

    Raises:
        ValueError: The backbone cannot be made for such images, or there are too few maps for the skips.

    Source: Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", CVPR
    2015, section 4: skips are scored by 1x1 convolutions that start at 0, enlarging starts bilinear. Unlike
    there, images are padded to a multiple of the last stride, and not by 100 pixels. Of a strided stem the
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
        filters=(32, 64, 128, 256, 256),
        convolutions=2,
        stem_strides=1,
        skips=2,
        skips_from="pooling",
        head_filters=256,
        head_kernel=3,
        **kwargs,
    ):
        stem = 0 if backbone else stem_strides.bit_length() - 1
        # === layers ===
        blocks = Blocks(normalization, activation, separable)
        drop = keras.layers.SpatialDropout2D(dropout, name="dropout")
        # === functional ===
        image = keras.Input(image_shape, name="image")
        source, maps = trunk(image, backbone, filters, convolutions, blocks, stem, _POOLED[skips_from])
        last, *finer = list(reversed(maps))
        if skips > len(finer):
            raise ValueError(f"expected at most {len(finer)} skips, as there are no more maps. {skips=}")
        features = maps[last]
        if head_filters:
            features = blocks(features, head_filters, "head", kernel_size=head_kernel)
            features = drop(features) if dropout else features
            features = blocks(features, head_filters, "head_last", kernel_size=1)
        at = last
        scores = keras.layers.Conv2D(classes, 1, name=f"score_{last}")(features)
        for level in finer[:skips]:
            fine = _scores(maps[level], classes, level, stem if level == stem else 0)
            reached = 0 if level == stem else level
            scores = _enlarged(scores, classes, 2 ** (at - reached), f"larger_{level}")
            scores = keras.layers.Add(name=f"sum_{level}")([fine, scores])
            at = reached
        if at:
            scores = _enlarged(scores, classes, 2**at, "logits", dtype="float32")
        logits = keras.layers.Activation("linear", dtype="float32", name="float")(scores)
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
            "skips": skips,
            "skips_from": skips_from,
            "head_filters": head_filters,
            "head_kernel": head_kernel,
        }


def _scores(features, classes, level, apart):
    """Returns scores of a map, which start at 0; of 2^apart x 2^apart pixels a place."""
    factor = 2**apart
    score = keras.layers.Conv2D(classes * factor**2, 1, kernel_initializer="zeros", name=f"score_{level}")(
        features
    )
    return PixelShuffle(factor, name=f"pixels_{level}")(score) if factor > 1 else score


def _enlarged(scores, classes, factor, name, **how):
    """Returns scores of a larger map: bilinear, until it is learnt better."""
    start = BilinearUpsampling()
    layer = keras.layers.Conv2DTranspose(
        classes, 2 * factor, factor, "same", use_bias=False, kernel_initializer=start, name=name, **how
    )
    return layer(scores)
