"""Settings of evaluator: the `evaluator` section of a config, and all that the stage is given."""

import typing

import pydantic

from conveyor.components.example_gen.settings import BeamSettings
from conveyor.models.tasks.settings import TaskSettings
from conveyor.pipeline.config import Settings


class CheckSettings(Settings):
    """What a metric must reach, or not exceed, for the model to pass."""

    metric: str
    """A name from the evaluation, such as average_precision_macro."""
    at_least: pydantic.FiniteFloat | None = None
    at_most: pydantic.FiniteFloat | None = None
    """For metrics of which less is better, such as ece and bce."""
    by: typing.Literal["value", "interval"] = "value"
    """What must keep the limit: the value, or the whole of its 95% interval."""

    @pydantic.model_validator(mode="after")
    def _has_one_limit(self) -> typing.Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("expected one of the keys at_least, at_most")
        return self

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.at_most is None else -1


class AgainstSettings(Settings):
    """The model that a new one must beat, in the metric of the first check."""

    model: typing.Literal["none", "last_blessed"] = "none"
    """`last_blessed` compares with the last other model of this config that was blessed on the same
    examples. Where there is none, as in the first run, the checks alone decide."""
    undecided: typing.Literal["keep", "bless"] = "keep"
    """Which model is kept where the difference may be chance: the old one, or the new one (blessed)."""
    margin: pydantic.NonNegativeFloat = 0.0
    """A model is good enough too if it is worse by less than this, for sure; in units of the metric."""


Resample = typing.Literal["auto", "examples", "groups"]
Cut = typing.Literal[
    "class", "group", "format", "mode", "brightness", "sharpness", "size", "object_size", "objects"
]


def _as_list(value: typing.Any) -> typing.Any:
    if value is None:
        return []
    return [value] if isinstance(value, dict) else value


Checks = typing.Annotated[
    list[CheckSettings],
    pydantic.BeforeValidator(_as_list, json_schema_input_type=CheckSettings | list[CheckSettings] | None),
]


class JudgeSettings(Settings):
    """How the model is judged."""

    split: str = "test"
    """The split whose labels are looked at."""
    batch_size: pydantic.PositiveInt = 128
    bootstrap: pydantic.NonNegativeInt = 1000
    """Resamples behind the 95% intervals."""
    resample: Resample = "auto"
    """What is drawn: `examples`, or whole `groups` of them, such as all images of a patient, which err
    together. `auto` draws groups where any has several images."""
    bless: Checks = []
    """A check, or a list of them, that must all be passed. None blesses every model."""
    against: AgainstSettings = AgainstSettings()
    """Which model the new one is compared with, on the same examples."""
    slices: list[Cut] = []
    """What to cut the examples by. The metric of the first check is told for each slice; and a model
    that is worse on one of them than the one it is compared with is not blessed. Numbers are cut into a
    low, a middle and a high third; `size` is the square root of the image's area, `object_size` the median
    of its objects' (in pixels), `objects` how many there are."""
    gap: bool = True
    """Measure the model on training and validation examples too (at most 2,000 of each), to show how far
    it has learned its examples by heart."""
    worst: pydantic.NonNegativeInt = 24
    """Number of worst errors in the gallery."""
    hardest: pydantic.NonNegativeInt = 12
    """Number of right answers in the gallery of those that were least sure."""
    beam: typing.Literal["auto", "on", "off"] = "auto"
    """Judge the split part by part, with what is kept of each example on disk instead of in memory; the
    numbers are the same. `auto` does so from 500,000 examples on."""
    runner: BeamSettings = BeamSettings()
    """How Beam runs where it is used."""

    @pydantic.model_validator(mode="after")
    def _has_what_it_needs(self) -> typing.Self:
        compared = self.against.model != "none"
        if (compared or self.slices) and not self.bless:
            raise ValueError("`against` and `slices` need a check in `bless`: it names their metric")
        if not self.bootstrap and (compared or any(check.by == "interval" for check in self.bless)):
            raise ValueError("`against` and `by: interval` need resamples: `bootstrap` must not be 0")
        return self


class EvaluatorSettings(Settings):
    """All that evaluation depends on."""

    task: TaskSettings
    judge: JudgeSettings = JudgeSettings()
    seed: pydantic.NonNegativeInt = 0
