"""Settings of the autoencoder family."""

import typing

import pydantic

from conveyor.models.settings import Settings


class AutoencoderSettings(Settings):
    """Convolutions of stride 2 down to a code and transposed ones back up; plain or variational.

    What makes it denoise is the task's noise.
    """

    family: typing.Literal["autoencoder"]
    tasks: typing.ClassVar[tuple[str, ...]] = ("reconstruction",)
    filters: list[pydantic.PositiveInt] = pydantic.Field([32, 64], min_length=1)
    """Filters of each level of the encoder; each halves the image. The decoder mirrors them."""
    convolutions: pydantic.PositiveInt = 1
    """Convolutions in each level."""
    kernel_size: pydantic.PositiveInt = 3
    activation: typing.Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "relu"
    code: pydantic.NonNegativeInt = 0
    """Numbers in a dense code; 0 for a code with places, as the last maps have."""
    code_channels: pydantic.NonNegativeInt = 0
    """Channels of a code with places; 0 for the last filters."""
    variational: bool = False
    """Whether the code is drawn from a normal distribution that is held near the standard one."""
    beta: float = pydantic.Field(1.0, ge=0)
    """Weight of that pull in a variational one: 1 for the evidence lower bound."""

    @pydantic.model_validator(mode="after")
    def _has_one_code(self) -> typing.Self:
        if self.code and self.code_channels:
            raise ValueError("expected `code` or `code_channels`, not both")
        return self
