"""Settings that the families of segmentation share."""

import typing

import pydantic

from conveyor.models.cnn.settings import Activation, CNNSettings, Normalization
from conveyor.models.pretrained.settings import PretrainedSettings
from conveyor.models.resnet.settings import ResNetSettings
from conveyor.models.settings import Settings

Backbone = typing.Annotated[
    CNNSettings | ResNetSettings | PretrainedSettings, pydantic.Field(discriminator="family")
]


class SegmenterSettings(Settings):
    """A network from an image of any size to a class for each pixel."""

    tasks: typing.ClassVar[tuple[str, ...]] = ("segmentation",)
    normalization: Normalization = "batch"
    """Between convolution and activation."""
    activation: Activation = "relu"
    separable: bool = False
    """A filter for each channel, then 1x1: fewer weights, and faster."""
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of whole feature maps dropped in training, where they are smallest."""
    backbone: Backbone | None = None
    """A classifier whose feature maps are used, without its head; `filters` play no part then."""
    shifts: list[typing.Annotated[int, pydantic.Field(ge=1, le=64)]] = pydantic.Field([], max_length=7)
    """Pixels by which an image is moved, down and to the right, for one more pass each when the model is
    served; the scores of all passes are averaged. Training and its validation have the plain pass only."""
