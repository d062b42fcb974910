"""Settings of the linear family."""

import typing

from conveyor.models.settings import Settings


class LinearSettings(Settings):
    """Softmax regression: one dense layer on the pixels."""

    family: typing.Literal["linear"]
    tasks: typing.ClassVar[tuple[str, ...]] = ("classification", "multi_label")
