"""Settings of statistics_gen."""

import pydantic

from conveyor.components.example_gen.settings import BeamSettings
from conveyor.pipeline.config import Settings


class StatisticsGenSettings(Settings):
    """How statistics are computed."""

    quantiles: int = pydantic.Field(10, gt=0, multiple_of=2)
    """Number of equal shares that the reported quantiles cut the values into; even, so that one of
    them is the median."""
    beam: BeamSettings = BeamSettings()
