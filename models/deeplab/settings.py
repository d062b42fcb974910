"""Settings of the DeepLab family."""

import typing

import pydantic

from conveyor.models.segmentation.settings import SegmenterSettings


class DeepLabSettings(SegmenterSettings):
    """Convolutions of several dilations side by side, which see near and far; then up beside a finer map."""

    family: typing.Literal["deeplab"]
    filters: list[pydantic.PositiveInt] = pydantic.Field([32, 64, 128, 256], min_length=2)
    """Filters of each block of the own network; with four of them, the pyramid has a stride of 8."""
    convolutions: pydantic.PositiveInt = 2
    """Convolutions in each block."""
    stem_strides: typing.Literal[1, 2, 4] = 1
    """Of a first convolution: blocks begin at half or a quarter of the image's size."""
    rates: list[pydantic.PositiveInt] = pydantic.Field([2, 4, 8], min_length=1)
    """Dilations of the pyramid's 3x3 convolutions; 6, 12 and 18 in the paper, for images of 513 pixels."""
    pyramid_filters: pydantic.PositiveInt = 128
    """Of each branch of the pyramid."""
    image_pooling: bool = True
    """A branch for the mean of the whole image. Where images keep their sizes it sees windows in training,
    and padded images when it serves."""
    output_level: pydantic.PositiveInt = 4
    """Of a backbone: log2 of the stride of the map that the pyramid looks at; coarser maps play no part."""
    low_level: pydantic.PositiveInt = 2
    """log2 of the stride of the finer map that comes in at the end."""
    low_level_filters: pydantic.PositiveInt = 32
    """To which its channels are brought, so that it does not outweigh the pyramid."""
