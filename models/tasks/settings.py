"""Settings of tasks."""

import typing

import pydantic

from conveyor.models.settings import Settings


class ClassificationSettings(Settings):
    """One class per image."""

    needs: typing.ClassVar[tuple[str, ...]] = ("label",)
    """What every example must have."""
    kind: typing.Literal["classification"] = "classification"
    label_smoothing: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of the target spread evenly over all classes."""


TaskSettings = ClassificationSettings
