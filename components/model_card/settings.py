"""Settings of model_card."""

import typing

import pydantic

from conveyor.pipeline.config import Settings


class ChosenSettings(Settings):
    """The choice of a sweep among its candidates."""

    sweep: str
    """Its name."""
    candidates: pydantic.PositiveInt
    metric: str
    split: str
    """By whose labels it chose."""
    value: float
    """Of the winner, on that split."""
    optimism: float
    """By how much it is expected to be too good, for having been chosen by it."""
    corrected: float


class PageSettings(Settings):
    """What the card shows."""

    title: str = ""
    """Headline; the name of the config unless told."""
    gallery: pydantic.NonNegativeInt = 24
    """Number of pictures in a gallery, at the most."""
    chosen: ChosenSettings | None = None
    """Filled in by `conveyor sweep` for its winner, so that the card tells of the choice."""


class ModelCardSettings(PageSettings):
    """All that the card depends on besides its inputs."""

    config: dict[str, typing.Any] = {}
    """The whole experiment config, to be shown."""
    data_only: bool = False
    """Whether the experiment has no model: it ends when its data has been checked."""
