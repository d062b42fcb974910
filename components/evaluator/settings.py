"""Settings of evaluator: the `evaluator` section of a config, and all that the stage is given."""

import pydantic

from conveyor.models.tasks.settings import TaskSettings
from conveyor.pipeline.config import Settings


class BlessSettings(Settings):
    """What a metric must reach for the model to pass."""

    metric: str
    """A name from the evaluation, such as average_precision_macro."""
    at_least: float


class JudgeSettings(Settings):
    """How the model is judged."""

    split: str = "test"
    """The split whose labels are looked at."""
    batch_size: pydantic.PositiveInt = 128
    bootstrap: pydantic.NonNegativeInt = 1000
    """Resamples behind the 95% intervals."""
    bless: BlessSettings | None = None
    """None blesses every model."""
    gap: bool = True
    """Measure the model on training and validation examples too (at most 2,000 of each), to show how far
    it has learned its examples by heart."""
    worst: pydantic.NonNegativeInt = 24
    """Number of worst errors in the gallery."""


class EvaluatorSettings(Settings):
    """All that evaluation depends on."""

    task: TaskSettings
    judge: JudgeSettings = JudgeSettings()
    seed: pydantic.NonNegativeInt = 0
