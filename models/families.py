"""All model families: their settings, as one union for the config."""

import typing

import pydantic

from conveyor.models.autoencoder.settings import AutoencoderSettings
from conveyor.models.cnn.settings import CNNSettings
from conveyor.models.deeplab.settings import DeepLabSettings
from conveyor.models.faster_rcnn.settings import FasterRCNNSettings
from conveyor.models.fcn.settings import FCNSettings
from conveyor.models.linear.settings import LinearSettings
from conveyor.models.mlp.settings import MLPSettings
from conveyor.models.pretrained.settings import PretrainedSettings
from conveyor.models.resnet.settings import ResNetSettings
from conveyor.models.spatial_transformer.settings import SpatialTransformerSettings
from conveyor.models.ssd.settings import SSDSettings
from conveyor.models.unet.settings import UNetSettings

FamilySettings = typing.Annotated[
    AutoencoderSettings
    | CNNSettings
    | DeepLabSettings
    | FasterRCNNSettings
    | FCNSettings
    | LinearSettings
    | MLPSettings
    | PretrainedSettings
    | ResNetSettings
    | SSDSettings
    | SpatialTransformerSettings
    | UNetSettings,
    pydantic.Field(discriminator="family"),
]


def families(kind: str) -> list[str]:
    """Returns the names of the families that do a kind of task."""
    arms = typing.get_args(typing.get_args(FamilySettings)[0])
    return [typing.get_args(arm.model_fields["family"].annotation)[0] for arm in arms if kind in arm.tasks]
