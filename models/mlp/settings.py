"""Settings of the MLP family."""

import typing

import pydantic

from conveyor.models.settings import Settings


class MLPSettings(Settings):
    """A multi-layer perceptron on the pixels."""

    family: typing.Literal["mlp"]
    tasks: typing.ClassVar[tuple[str, ...]] = ("classification", "multi_label")
    units: list[pydantic.PositiveInt] = [128, 64]
    """Width of each hidden layer."""
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)
    """Share of hidden units dropped in training, after each hidden layer."""
