"""Settings of transform."""

import typing

import pydantic

from conveyor.pipeline.config import Settings


class TransformSettings(Settings):
    """From image bytes to model input."""

    size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] | None = None
    """Height and width of the model input; by default that of the images, if all have the same."""
    resize: typing.Literal["stretch", "letterbox", "none"] = "stretch"
    """How an image gets to `size`: stretched; scaled as a whole so that it fits, then padded at the bottom
    and the right; or not at all: training takes random windows of `size`, and evaluation and serving take
    whole images, each padded like the largest of its batch."""
    stride: pydantic.PositiveInt = 32
    """Of `resize: none`: heights and widths of padded batches are multiples of it."""
    channels: typing.Literal[1, 3] | None = None
    """1 for grey, 3 for RGB; by default those of the data."""
    normalize: typing.Literal["rescale", "standardize"] = "rescale"
    """To [0, 1], or to zero mean and unit variance per channel over the training split."""
