"""Settings of model_card."""

import typing

import pydantic

from conveyor.pipeline.config import Settings


class PageSettings(Settings):
    """What the card shows."""

    title: str = ""
    """Headline; the name of the config unless told."""
    gallery: pydantic.NonNegativeInt = 24
    """Number of pictures in a gallery, at the most."""


class ModelCardSettings(PageSettings):
    """All that the card depends on besides its inputs."""

    config: dict[str, typing.Any] = {}
    """The whole experiment config, to be shown."""
    data_only: bool = False
    """Whether the experiment has no model: it ends when its data has been checked."""
