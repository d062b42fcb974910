"""Settings of the tuner: the `sweep` section of a config."""

import typing

import pydantic

from conveyor.pipeline.config import Settings


class DimensionSettings(Settings):
    """What a key of the config may be: one of the following."""

    uniform: tuple[float, float] | None = None
    """Any number from the first to the second."""
    log: tuple[float, float] | None = None
    """The same, in which each factor is as likely as another: for learning rates."""
    integers: tuple[int, int] | None = pydantic.Field(None, alias="int")
    """Any whole number from the first to the second, both included."""
    choice: list[typing.Any] | dict[str, typing.Any] | None = pydantic.Field(None, min_length=1)
    """One of a list of values, or of values with names; values may be whole sections of the config."""

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> typing.Self:
        given = [value for value in dict(self).values() if value is not None]
        if len(given) != 1:
            raise ValueError("expected one of the keys uniform, log, int, choice")
        if isinstance(given[0], tuple) and given[0][0] >= given[0][1]:
            raise ValueError("expected [low, high] with low < high")
        if self.log and self.log[0] <= 0:
            raise ValueError("expected numbers above 0 for log")
        return self

    def ends(self) -> list[float]:
        """Returns the points between which, or among which, all others lie: bounds, or all choices."""
        if self.choice is not None:
            return list(range(len(self.choice)))
        return list(self.integers or self.log or self.uniform or ())

    def value(self, point: float) -> typing.Any:
        """Returns what the config holds at a point: the point itself, or a choice by its index."""
        if self.choice is None:
            return point
        return (list(self.choice.values()) if isinstance(self.choice, dict) else self.choice)[int(point)]

    def name(self, point: float) -> typing.Any:
        """Returns the name of the choice at a point where choices have names, else the value."""
        return list(self.choice)[int(point)] if isinstance(self.choice, dict) else self.value(point)


class SweepSettings(Settings):
    """What `conveyor sweep` varies, and by what it chooses."""

    space: dict[str, DimensionSettings] = {}
    """Dotted key of the config -> what it may be, such as
    trainer.optimizer.learning_rate: {log: [0.0001, 0.01]}."""
    metric: str = "accuracy"
    """A name from the evaluation; measured on the validation split."""
    goal: typing.Literal["maximize", "minimize"] = "maximize"
    sampler: typing.Literal["tpe", "random", "grid"] = "tpe"
    """`tpe` learns from the candidates so far; `grid` takes all combinations of choices in order."""
    trials: pydantic.PositiveInt | None = None
    """Candidates to try; 20, or the whole grid, unless told."""
    seeds: pydantic.PositiveInt = 1
    """Models to train of each candidate, each from a seed of its own; the mean of the metric counts."""
    resamples: int = pydantic.Field(200, ge=20)
    """Resamples of the validation split behind intervals and the expected optimism of the winner."""
