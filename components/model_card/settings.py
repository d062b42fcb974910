"""Settings of model_card."""

import pydantic

from conveyor.pipeline.config import Settings


class ModelCardSettings(Settings):
    """What the card shows."""

    title: str = ""
    """Headline; the name of the config unless told."""
    gallery: pydantic.NonNegativeInt = 24
    """Number of pictures in a gallery, at the most."""
