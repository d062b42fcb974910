"""Settings of the FCN family."""

import typing

import pydantic

from conveyor.models.segmentation.settings import SegmenterSettings


class FCNSettings(SegmenterSettings):
    """A classifier's convolutions, which score every place; scores are enlarged and summed."""

    family: typing.Literal["fcn"]
    filters: list[pydantic.PositiveInt] = pydantic.Field([32, 64, 128, 256, 256], min_length=1)
    """Filters of each block; each halves the size. With five of them, the last map has a stride of 32."""
    convolutions: pydantic.PositiveInt = 2
    """Convolutions in each block."""
    stem_strides: typing.Literal[1, 2, 4] = 1
    """Of a first convolution: blocks begin at half or a quarter of the image's size, which is that much
    faster; the finest map's scores tell the pixels apart."""
    skips: pydantic.NonNegativeInt = 2
    """Finer maps that are scored too: with five blocks 0 is FCN-32s, 1 is FCN-16s, 2 is FCN-8s, and 5 has the
    first block's map before pooling."""
    skips_from: typing.Literal["pooling", "blocks"] = "pooling"
    """Whether the finer maps are those after pooling, as in the paper, or what was pooled: those have seen
    more around each place. Plays no part with a backbone."""
    head_filters: pydantic.NonNegativeInt = 256
    """Of the two convolutions before the last map is scored; 0 for none."""
    head_kernel: pydantic.PositiveInt = 3
    """Side of the first of them; 7 in the paper."""
