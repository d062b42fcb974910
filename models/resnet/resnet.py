"""Residual networks."""

import keras

from conveyor.models.layers.normalization import normalization_layer
from conveyor.models.model import Model
from conveyor.models.resnet.settings import blocks_of

_MOMENTUM, _EPSILON = 0.9, 1e-5  # of normalisation, as published


@keras.saving.register_keras_serializable("conveyor")
class ResNet(Model):
    """Stages of residual blocks, global average, logits.

    Args:
        image_shape: (height, width, channels) of the model input.
        classes: Number of logits.
        depth: Layers with weights: 6n + 2 with the stem "cifar"; 18, 34, 50, 101 or 152 with "imagenet".
        stem: "cifar" or "imagenet".
        version: 1 (activation after the sum, stride in the 3x3 convolution) or 2 (activation first).
        shortcut: "A" (each second pixel, channels padded with 0) or "B" (a 1x1 convolution) where maps
            change their shape.
        width: Filters of the first stage; None for the published 16 or 64.
        zero_gamma: Whether the last normalisation of a block of version 1 starts at 0.
        dropout: Share in [0, 1) of features dropped in training, before the logits.
        normalization: "batch", or "group" or "layer", which do not mix the images of a batch.

    Returns:
        A model from float32 [n, height, width, channels] to logits [n, classes].

    Raises:
        ValueError: There is no such depth, or the image is smaller than what the stages reduce.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, table 1 and section
    4.2; He et al., "Identity mappings in deep residual networks", ECCV 2016, for version 2; Goyal et
    al., "Accurate, large minibatch SGD", 2017, section 5.1, for the stride of v1.5 and zero gammas; He,
    Girshick, Dollár, "Rethinking ImageNet pre-training", ICCV 2019, for group normalisation in detectors.
    """

    def __init__(
        self,
        image_shape,
        classes,
        depth=20,
        stem="cifar",
        version=1,
        shortcut="B",
        width=None,
        zero_gamma=True,
        dropout=0.0,
        normalization="batch",
        **kwargs,
    ):
        stages, convolutions = blocks_of(depth, stem)
        _check_size(image_shape, stem)
        # === layers ===
        blocks = _Blocks(version, shortcut, convolutions, zero_gamma, normalization)
        filters = width or {"cifar": 16, "imagenet": 64}[stem]
        pool = keras.layers.GlobalAveragePooling2D(name="global_average")
        drop = keras.layers.Dropout(dropout, name="dropout")
        logits = keras.layers.Dense(classes, dtype="float32", name="logits")
        # === functional ===
        inputs = keras.Input(image_shape, name="image")
        features = _stem(inputs, filters, stem, version, normalization)
        for stage, count in enumerate(stages):
            for number in range(count):
                strides = 2 if stage and not number else 1
                features = blocks(features, filters * 2**stage, strides, f"block_{stage + 1}_{number + 1}")
        if version == 2:
            features = _norm_relu(features, normalization, "last")
        pooled = pool(features)
        super().__init__(inputs=inputs, outputs=logits(drop(pooled) if dropout else pooled), **kwargs)
        last = f"block_{len(stages)}_{stages[-1]}"
        self.features_layer = "last_relu" if version == 2 else f"{last}_relu"
        # === config ===
        self.arguments = {
            "image_shape": tuple(image_shape),
            "classes": classes,
            "depth": depth,
            "stem": stem,
            "version": version,
            "shortcut": shortcut,
            "width": width,
            "zero_gamma": zero_gamma,
            "dropout": dropout,
            "normalization": normalization,
        }


def _check_size(image_shape, stem):
    """Refuses images of which less than a pixel would be left."""
    least = {"cifar": 4, "imagenet": 32}[stem]
    if min(side or least for side in image_shape[:2]) < least:  # None is any
        raise ValueError(
            f"expected images of at least {least} pixels a side with stem {stem}. "
            f"Received: image_shape={tuple(image_shape)}"
        )


def _stem(features, filters, stem, version, kind):
    kernel, strides = {"cifar": (3, 1), "imagenet": (7, 2)}[stem]
    features = _conv(filters, kernel, strides, "stem")(features)
    if version == 1:  # the blocks of version 2 begin with these
        features = _norm_relu(features, kind, "stem")
    if stem == "cifar":
        return features
    return keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(features)


def _conv(filters, kernel_size, strides, name):
    """Returns a convolution without offset: normalisation follows it, or has gone before."""
    shared = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    return keras.layers.Conv2D(filters, kernel_size, strides, **shared, name=f"{name}_conv")


def _norm(features, kind, name, gamma="ones"):
    how = {"epsilon": _EPSILON, "gamma_initializer": gamma}
    return normalization_layer(kind, features.shape[-1], f"{name}_norm", _MOMENTUM, **how)(features)


def _norm_relu(features, kind, name):
    return keras.layers.ReLU(name=f"{name}_relu")(_norm(features, kind, name))


class _Blocks:
    """Makes residual blocks.

    Args:
        version: 1 or 2.
        shortcut: "A" or "B".
        convolutions: In a block: 2 of 3x3, or 3 of 1x1, 3x3, 1x1 (a bottleneck, four times as wide).
        zero_gamma: Whether the last normalisation of version 1 starts at 0.
        kind: Of normalisation.
    """

    def __init__(self, version, shortcut, convolutions, zero_gamma, kind):
        self.version = version
        self.shortcut = shortcut
        self.kind = kind
        self.kernels = {2: (3, 3), 3: (1, 3, 1)}[convolutions]
        self.expansion = {2: 1, 3: 4}[convolutions]
        self.last_gamma = "zeros" if zero_gamma else "ones"

    def __call__(self, features, filters, strides, name):
        """Returns the output of a block of a number of filters."""
        return (self._version_1 if self.version == 1 else self._version_2)(features, filters, strides, name)

    def _version_1(self, features, filters, strides, name):
        residual = features
        *first, last = self._convolutions(filters, strides, name)
        for number, conv in enumerate(first, 1):
            residual = _norm_relu(conv(residual), self.kind, f"{name}_{number}")
        residual = _norm(last(residual), self.kind, f"{name}_{len(self.kernels)}", gamma=self.last_gamma)
        skipped = self._skip(features, filters * self.expansion, strides, name)
        total = keras.layers.Add(name=f"{name}_add")([skipped, residual])
        return keras.layers.ReLU(name=f"{name}_relu")(total)

    def _version_2(self, features, filters, strides, name):
        active = _norm_relu(features, self.kind, f"{name}_0")
        *rest, last = self._convolutions(filters, strides, name)
        residual = active
        for number, conv in enumerate(rest, 1):
            residual = _norm_relu(conv(residual), self.kind, f"{name}_{number}")
        wide = filters * self.expansion
        changes = strides > 1 or features.shape[-1] != wide
        skipped = self._skip(active if changes else features, wide, strides, name)
        return keras.layers.Add(name=f"{name}_add")([skipped, last(residual)])

    def _convolutions(self, filters, strides, name):
        """Returns the convolutions of a block; the first of 3x3 has its strides."""
        widths = [filters] * (len(self.kernels) - 1) + [filters * self.expansion]
        at = self.kernels.index(3)
        return [
            _conv(width, kernel, strides if number == at else 1, f"{name}_{number + 1}")
            for number, (width, kernel) in enumerate(zip(widths, self.kernels, strict=True))
        ]

    def _skip(self, features, filters, strides, name):
        """Returns what is added to the residual, in its shape."""
        channels = features.shape[-1]
        if strides == 1 and channels == filters:
            return features
        if self.shortcut == "A":
            missing = filters - channels
            kept = keras.layers.MaxPooling2D(1, strides, padding="same", name=f"{name}_subsample")(features)
            return keras.ops.pad(kept, [(0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)])
        skipped = _conv(filters, 1, strides, f"{name}_skip")(features)
        return _norm(skipped, self.kind, f"{name}_skip") if self.version == 1 else skipped
