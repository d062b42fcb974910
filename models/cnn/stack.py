"""The layers of a convolutional network: listed from its settings, then made."""

import collections
import typing

import keras

from conveyor.models.layers.normalization import normalization_layer

# A layer's name, its kind, and what there is to say about it; kinds and options as in LayerSettings.
Planned = tuple[str, str, typing.Any]
_MOMENTUM = 0.9  # of the moving statistics: Keras's 0.99 is too slow for trainings of a few hundred steps


def plan_blocks(
    filters: typing.Iterable[int],
    convolutions: int,
    conv: dict[str, typing.Any],
    normalization: str,
    activation: str,
    pool: dict[str, typing.Any],
) -> list[Planned]:
    """Returns the layers of blocks of convolutions, normalisation, activation and pooling.

    Args:
        filters: Number of filters in each block.
        convolutions: Convolutions in each block.
        conv: Options of each convolution; its strides are those of the first in a block.
        normalization: "none", "batch", "group" or "layer".
        activation: A Keras activation.
        pool: Options of the pooling after each block; of size 1 for none.
    """
    plan: list[Planned] = []
    for block, count in enumerate(filters, 1):
        for number in range(1, convolutions + 1):
            place = f"{block}_{number}"
            strides = conv["strides"] if number == 1 else 1
            plan.append((f"conv_{place}", "conv", {**conv, "filters": count, "strides": strides}))
            if normalization != "none":
                plan.append((f"norm_{place}", "norm", normalization))
            plan.append((f"{activation}_{place}", "activation", activation))
        if pool["size"] > 1:
            plan.append((f"pool_{block}", "pool", pool))
    return plan


def plan_head(head: str, dense: int, dropout: float) -> list[Planned]:
    """Returns the layers from the last maps to the features that logits are made of."""
    plan: list[Planned] = [(head, "head", head)]
    if dropout:
        plan.append(("dropout_1", "dropout", dropout))
    if dense:
        plan.append(("dense", "dense", dense))
        if dropout:
            plan.append(("dropout_2", "dropout", dropout))
    return plan


def plan_list(layers: typing.Iterable[dict[str, typing.Any]]) -> list[Planned]:
    """Returns the layers of an explicit list, with a flattening where a vector is first needed.

    Args:
        layers: Each {kind: options}, as `LayerSettings` dumps it.
    """
    plan: list[Planned] = []
    numbers: collections.Counter[str] = collections.Counter()
    for kind, options in (item for layer in [*layers, {"end": None}] for item in layer.items()):
        if kind in ("dense", "end") and not numbers["head"]:
            plan.append(("flatten", "head", "flatten"))
            numbers["head"] += 1
        if kind != "end":
            numbers[kind] += 1
            plan.append((f"{kind}_{numbers[kind]}", kind, options))
    return plan


def before_head(plan: list[Planned], image: str) -> str:
    """Returns the name of the layer that makes the last maps; the image's, where none does."""
    kinds = [kind for _, kind, _ in plan]
    return [image, *(name for name, _, _ in plan)][kinds.index("head")]


class Stack:
    """Makes planned layers one after another.

    Args:
        rank: 1 for sequences, 2 for images, 3 for volumes.
        activation: Of dense layers.
        initializer: Of kernels.
        l1: Penalty on absolute values of kernels.
        l2: Penalty on squares of kernels.
    """

    def __init__(self, rank: int, activation: str, initializer: str, l1: float, l2: float):
        if rank not in (1, 2, 3):
            raise ValueError(f"expected an image shape of 1 to 3 sides and channels. Received: {rank} sides")
        self._rank = rank
        self._activation = activation
        self._initializer = initializer
        self._penalty = (l1, l2)

    def __call__(self, plan: list[Planned], features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the output of the layers of a plan."""
        following = [kind for _, kind, _ in plan[1:]] + [""]
        for (name, kind, options), after in zip(plan, following, strict=True):
            channels = features.shape[-1]
            made = getattr(self, f"_make_{kind}")(name, options, channels=channels, normed=after == "norm")
            features = made(features)
        return features

    def kernels(self, kind: str = "kernel") -> dict[str, typing.Any]:
        """Returns how a layer's weights start and what they cost, as arguments of a Keras layer."""
        l1, l2 = self._penalty
        penalty = keras.regularizers.L1L2(l1, l2) if l1 or l2 else None
        return {f"{kind}_initializer": self._initializer, f"{kind}_regularizer": penalty}

    def _make_conv(self, name, options, normed, **_):
        options = dict(options)
        if not options.pop("separable", False):
            convolution = getattr(keras.layers, f"Conv{self._rank}D")
            return convolution(**options, **self.kernels(), use_bias=not normed, name=name)
        if self._rank == 3:
            raise ValueError("expected separable=False for volumes. Received: separable=True")
        convolution = getattr(keras.layers, f"SeparableConv{self._rank}D")
        kernels = self.kernels("depthwise") | self.kernels("pointwise")
        return convolution(**options, **kernels, use_bias=not normed, name=name)

    def _make_norm(self, name, kind, channels, **_):
        return normalization_layer(kind, channels, name, _MOMENTUM)

    def _make_activation(self, name, kind, **_):
        return keras.layers.ReLU(name=name) if kind == "relu" else keras.layers.Activation(kind, name=name)

    def _make_pool(self, name, options, **_):
        pooling = {"max": "MaxPooling", "average": "AveragePooling"}[options["kind"]]
        layer = getattr(keras.layers, f"{pooling}{self._rank}D")
        return layer(options["size"], options["strides"], options["padding"], name=name)

    def _make_head(self, name, kind, **_):
        if kind == "flatten":
            return keras.layers.Flatten(name=name)
        return getattr(keras.layers, f"GlobalAveragePooling{self._rank}D")(name=name)

    def _make_dropout(self, name, share, **_):
        return keras.layers.Dropout(share, name=name)

    def _make_dense(self, name, units, **_):
        return keras.layers.Dense(units, self._activation, **self.kernels(), name=name)
