"""Settings of the CNN family."""

import typing

import pydantic

from conveyor.models.settings import Settings

Activation = typing.Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid"]
Head = typing.Literal["flatten", "global_average"]
Initializer = typing.Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"]
Normalization = typing.Literal["none", "batch", "group", "layer"]
Padding = typing.Literal["same", "valid"]
Pooling = typing.Literal["max", "average"]


class ConvSettings(Settings):
    """A convolution; without offset where a normalisation, which has one, comes next."""

    filters: pydantic.PositiveInt
    kernel_size: pydantic.PositiveInt = 3
    strides: pydantic.PositiveInt = 1
    padding: Padding = "same"
    dilation_rate: pydantic.PositiveInt = 1
    separable: bool = False
    """A filter for each channel, then 1x1: fewer weights."""


class PoolSettings(Settings):
    """Pooling."""

    size: pydantic.PositiveInt = 2
    strides: pydantic.PositiveInt | None = None
    """By default the size."""
    kind: Pooling = "max"
    padding: Padding = "valid"


class LayerSettings(Settings):
    """One layer of an explicit list, under the key that says its kind."""

    conv: ConvSettings | None = None
    norm: typing.Literal["batch", "group", "layer"] | None = None
    activation: Activation | None = None
    pool: PoolSettings | None = None
    dropout: float | None = pydantic.Field(None, ge=0, lt=1)
    """Share of features dropped in training."""
    head: Head | None = None
    """From maps to a vector; without one, maps are flattened before what needs a vector."""
    dense: pydantic.PositiveInt | None = None
    """Width of a dense layer, which applies the family's `activation`."""

    @pydantic.model_validator(mode="after")
    def _is_one_layer(self) -> typing.Self:
        if len(self._given()) != 1:
            raise ValueError(f"expected one of the keys {', '.join(type(self).model_fields)}")
        return self

    @pydantic.model_serializer(mode="wrap")
    def _without_absent(self, serialize: pydantic.SerializerFunctionWrapHandler) -> dict[str, typing.Any]:
        return {kind: options for kind, options in serialize(self).items() if kind in self._given()}

    def _given(self) -> list[str]:
        return [kind for kind, options in dict(self).items() if options is not None]


class CNNSettings(Settings):
    """Blocks of convolutions, each block followed by pooling; then the head, a dense layer, the logits."""

    family: typing.Literal["cnn"]
    tasks: typing.ClassVar[tuple[str, ...]] = ("classification", "multi_label")
    filters: list[pydantic.PositiveInt] = pydantic.Field([32, 64], min_length=1)
    """Filters of each block."""
    convolutions: pydantic.PositiveInt = 1
    """Convolutions in each block."""
    kernel_size: pydantic.PositiveInt = 3
    strides: pydantic.PositiveInt = 1
    """Of the first convolution of each block."""
    padding: Padding = "same"
    dilation: pydantic.PositiveInt = 1
    """Pixels from one tap of a kernel to the next."""
    separable: bool = False
    """A filter for each channel, then 1x1: fewer weights."""
    normalization: Normalization = "none"
    """Between convolution and activation."""
    activation: Activation = "relu"
    pooling: Pooling = "max"
    pool_size: pydantic.PositiveInt = 2
    """Pooling window and stride after each block; 1 for none."""
    head: Head = "flatten"
    """From the last maps to a vector: all their values, or the mean of each."""
    dense: pydantic.NonNegativeInt = 128
    """Width of the dense layer before the logits; 0 for none."""
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of features dropped in training, before and after the dense layer."""
    initializer: Initializer = "glorot_uniform"
    """Of kernels."""
    l1: float = pydantic.Field(0.0, ge=0)
    """Penalty on absolute values of kernels, added to the loss."""
    l2: float = pydantic.Field(0.0, ge=0)
    """Penalty on squares of kernels, added to the loss; `trainer.optimizer.weight_decay` is decoupled."""
    layers: list[LayerSettings] | None = pydantic.Field(None, min_length=1)
    """All layers before the logits, one by one, in place of blocks."""

    @pydantic.model_validator(mode="after")
    def _is_one_form(self) -> typing.Self:
        shared = {"family", "activation", "initializer", "l1", "l2", "layers"}
        if self.layers:
            # by value, not by what was set: stages are given all settings, defaults too
            plain = {name: field.get_default() for name, field in type(self).model_fields.items()}
            other = sorted(name for name, value in dict(self).items() if value != plain[name])
            if unused := [name for name in other if name not in shared]:
                raise ValueError(f"with `layers`, which list the whole network, no {unused[0]!r} is used")
        return self
