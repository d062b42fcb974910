"""Settings of trainer: the `trainer` section of a config, and all that the stage is given."""

import typing

import pydantic

from conveyor.models.families import FamilySettings
from conveyor.models.settings import AugmentationSettings
from conveyor.models.tasks.settings import TaskSettings
from conveyor.pipeline.config import Settings


class OptimizerSettings(Settings):
    """The optimiser."""

    name: typing.Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: pydantic.PositiveFloat = 0.001
    weight_decay: float = pydantic.Field(0.0, ge=0)
    """Decoupled weight decay; biases and normalisation are excluded."""
    momentum: float = pydantic.Field(0.9, ge=0, lt=1)
    """Of sgd."""


class FitSettings(Settings):
    """How the model is trained."""

    epochs: pydantic.PositiveInt = 10
    batch_size: pydantic.PositiveInt = 64
    """Examples a step."""
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: typing.Literal["constant", "cosine"] = "constant"
    """Of the learning rate over all steps."""
    select: typing.Literal["best", "last"] = "best"
    """Which weights are kept: of the epoch with the lowest validation loss, or the last. Without a
    validation split, the last."""


class TrainerSettings(Settings):
    """All that training depends on."""

    task: TaskSettings
    model: FamilySettings
    augment: AugmentationSettings = []
    fit: FitSettings = FitSettings()
    seed: pydantic.NonNegativeInt = 0
