"""Settings of statistics_gen."""

import pydantic
from conveyor.components.example_gen.settings import BeamSettings
from conveyor.pipeline.config import Settings


class StatisticsGenSettings(Settings):
    """How statistics are computed."""

    quantiles: pydantic.PositiveInt = 10
    """Number of equal shares that the reported quantiles cut the values into."""
    beam: BeamSettings = BeamSettings()
