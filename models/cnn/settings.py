"""Settings of the CNN family."""

import typing

import pydantic

from conveyor.models.settings import Settings


class CNNSettings(Settings):
    """Blocks of convolutions, each block followed by max pooling; then a dense layer and the head."""

    family: typing.Literal["cnn"]
    filters: list[pydantic.PositiveInt] = pydantic.Field([32, 64], min_length=1)
    """Filters of each block."""
    convolutions: pydantic.PositiveInt = 1
    """Convolutions in each block."""
    kernel_size: pydantic.PositiveInt = 3
    padding: typing.Literal["same", "valid"] = "same"
    pool_size: pydantic.PositiveInt = 2
    """Pooling window and stride after each block; 1 for none."""
    batch_norm: bool = False
    """Batch normalisation between convolution and activation."""
    dense: pydantic.NonNegativeInt = 128
    """Width of the dense layer before the head; 0 for none."""
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of features dropped in training, before and after the dense layer."""
