"""A config for tests, with every kind of key that error messages have to find their way in."""

import typing

import pydantic
import pytest

from conveyor.pipeline.config import Settings, parse_config
from conveyor.pipeline.errors import UserError


class Schedule(Settings):
    warmup: int


class Cnn(Settings):
    family: typing.Literal["cnn"]
    filters: list[int] = [32]
    padding: typing.Literal["same", "valid"] = "same"


class Vit(Settings):
    family: typing.Literal["vit"]
    patch: int
    heads: int = 4


class Fit(Settings):
    epochs: pydantic.PositiveInt = 10
    rate: float | Schedule = 0.1
    """The learning rate."""


class Step(Settings):
    flip: bool | None = None
    crop: int | None = None


Family = typing.Annotated[Cnn | Vit, pydantic.Field(discriminator="family")]


class Config(Settings):
    data: str = "digits"
    model: Family = Cnn(family="cnn")
    teachers: list[Family] = []
    fit: Fit = Fit()
    schema_: Schedule = pydantic.Field(Schedule(warmup=0), alias="schema")
    augment: list[Step] = []
    extra: dict[str, typing.Any] = {}


def parse(text, *overrides):
    """Reads a config called my.yaml."""
    return parse_config(text, "my.yaml", Config, overrides)


def refuse(text, *overrides):
    """Returns the error that a config is refused with."""
    with pytest.raises(UserError) as caught:
        parse(text, *overrides)
    return caught.value
