"""Base of the settings of families and tasks; imports nothing heavy."""

import typing

import pydantic
import pydantic_core

from conveyor.pipeline.config import Settings

_MOST = 10**9  # no argument is larger


def _plain(value: typing.Any) -> typing.Any:
    """Refuses what no layer takes, such as numbers that JSON lacks."""
    numbers = value if isinstance(value, list) else [value]
    if all(isinstance(number, int | float) and -_MOST <= number <= _MOST for number in numbers):
        return value
    if value is None or isinstance(value, str):
        return value
    raise pydantic_core.PydanticCustomError(
        "argument", "a number, a list of numbers, a word, true, false or null"
    )


_Argument = typing.Annotated[typing.Any, pydantic.AfterValidator(_plain)]
_Layer = typing.Annotated[dict[str, dict[str, _Argument]], pydantic.Field(min_length=1, max_length=1)]

# Each item one layer: {random_translation: {height_factor: 0.1, width_factor: 0.1}}
AugmentationSettings = list[_Layer]

__all__ = ["AugmentationSettings", "Settings"]
