"""All model families: their settings, as one union for the config."""

import typing

import pydantic

from conveyor.models.cnn.settings import CNNSettings
from conveyor.models.linear.settings import LinearSettings
from conveyor.models.mlp.settings import MLPSettings

FamilySettings = typing.Annotated[
    CNNSettings | LinearSettings | MLPSettings, pydantic.Field(discriminator="family")
]


def families(kind: str) -> list[str]:
    """Returns the names of the families that do a kind of task."""
    arms = typing.get_args(typing.get_args(FamilySettings)[0])
    return [typing.get_args(arm.model_fields["family"].annotation)[0] for arm in arms if kind in arm.tasks]
