"""Settings of exporter: the `export` section of a config, and all that the stage is given."""

import typing

import pydantic

from conveyor.components.evaluator.settings import JudgeSettings
from conveyor.models.tasks.settings import TaskSettings
from conveyor.pipeline.config import Settings

Format = typing.Literal["litert", "litert_int8", "onnx"]


class ExportSettings(Settings):
    """Formats beside the SavedModel, and how much worse than it they may be."""

    formats: list[Format] = []
    """`litert` and `litert_int8` for LiteRT (phones, boards), `onnx` for ONNX Runtime and others."""
    max_drop: float = pydantic.Field(0.01, ge=0)
    """How much of the metric of the first check of `evaluator.bless` a format may lose, for sure: the whole
    of the 95% interval must lie above. What loses more is not published."""
    calibration: pydantic.PositiveInt = 256
    """Training images by which `litert_int8` chooses its ranges."""


def _as_formats(value: typing.Any) -> typing.Any:
    return {"formats": value} if isinstance(value, list) else value


Export = typing.Annotated[
    ExportSettings,
    pydantic.BeforeValidator(_as_formats, json_schema_input_type=ExportSettings | list[Format]),
]


class ExporterSettings(Settings):
    """All that other formats depend on."""

    task: TaskSettings
    judge: JudgeSettings
    export: ExportSettings
    seed: pydantic.NonNegativeInt = 0
