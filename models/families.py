"""All model families: their settings, as one union for the config."""

import typing

import pydantic

from conveyor.models.cnn.settings import CNNSettings
from conveyor.models.linear.settings import LinearSettings
from conveyor.models.mlp.settings import MLPSettings

FamilySettings = typing.Annotated[
    CNNSettings | LinearSettings | MLPSettings, pydantic.Field(discriminator="family")
]
