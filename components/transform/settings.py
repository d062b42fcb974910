"""Settings of transform."""

import typing

import pydantic

from conveyor.pipeline.config import Settings


class TransformSettings(Settings):
    """From image bytes to model input."""

    size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] | None = None
    """Height and width of the model input; by default that of the images, if all have the same."""
    channels: typing.Literal[1, 3] | None = None
    """1 for grey, 3 for RGB; by default those of the data."""
    normalize: typing.Literal["rescale", "standardize"] = "rescale"
    """To [0, 1], or to zero mean and unit variance per channel over the training split."""
