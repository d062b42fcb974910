"""Settings of example_validator."""

import pydantic

from conveyor.pipeline.config import Settings


class ExampleValidatorSettings(Settings):
    """What counts as an anomaly."""

    max_quarantine: float = pydantic.Field(0.01, ge=0, le=1)
    """Share of unreadable files above which the data does not pass; set by `data.max_quarantine`."""
    required_splits: list[str] = ["train", "test"]
    """Splits that must not be empty."""
