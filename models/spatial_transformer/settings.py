"""Settings of the spatial transformer family."""

import typing

import pydantic

from conveyor.models.cnn.settings import CNNSettings
from conveyor.models.resnet.settings import ResNetSettings
from conveyor.models.settings import Settings


class SpatialTransformerSettings(Settings):
    """A classifier with a spatial transformer in front of it, or within."""

    family: typing.Literal["spatial_transformer"]
    tasks: typing.ClassVar[tuple[str, ...]] = ("classification", "multi_label")
    classifier: CNNSettings | ResNetSettings = pydantic.Field(discriminator="family")
    """The network that sees what the transformer shows it."""
    transform: typing.Literal["affine", "projective", "thin_plate_spline"] = "affine"
    control_points: int = pydantic.Field(4, ge=2, le=16)
    """Points on each side of the grid of thin_plate_spline."""
    before: str = ""
    """Name of the classifier's layer that gets what the transformer shows, such as conv_2_1; "" for the
    first. `conveyor model` lists the names."""
    size: list[pydantic.PositiveInt] | None = pydantic.Field(None, min_length=2, max_length=2)
    """Height and width of what the transformer shows; None for those of what it sees."""
    localization_filters: list[pydantic.PositiveInt] = [16, 32]
    """Filters of the localisation net's convolutions, each followed by max pooling."""
    localization_kernel_size: pydantic.PositiveInt = 5
    localization_dense: pydantic.PositiveInt = 32
    """Width of the localisation net's dense layer."""
    localization_rate: float = pydantic.Field(1.0, gt=0, le=1)
    """What the learning rate is multiplied by for the localisation net."""
