"""Settings of the U-Net family."""

import typing

import pydantic

from conveyor.models.segmentation.settings import SegmenterSettings


class UNetSettings(SegmenterSettings):
    """Down to small maps and up again, each map beside the one of its size on the way down."""

    family: typing.Literal["unet"]
    filters: list[pydantic.PositiveInt] = pydantic.Field([32, 64, 128, 256], min_length=2)
    """Filters of each level, on the way down and up; each level has half the size of the one before."""
    convolutions: pydantic.PositiveInt = 2
    """Convolutions in each block."""
    stem_strides: typing.Literal[1, 2, 4] = 1
    """Of a first convolution: levels begin at half or a quarter of the image's size, which is that much
    faster; the last layer tells the pixels apart."""
    upsampling: typing.Literal["transposed", "bilinear"] = "transposed"
    """Learnt, or not."""
