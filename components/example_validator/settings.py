"""Settings of example_validator."""

import typing

import pydantic

from conveyor.pipeline.config import Settings

Severity = typing.Annotated[
    typing.Literal["error", "warning", "off"],
    pydantic.BeforeValidator(lambda value: "off" if value is False else value),  # YAML reads off as false
]


class ChecksSettings(Settings):
    """What counts as an anomaly. An "error" stops the run; "off" leaves a check out."""

    required_splits: list[str] = ["train", "test"]
    """Splits that must not be empty."""
    skew: Severity = "warning"
    """What it is if another split differs from the training split by more than the schema allows."""
    drift: Severity = "warning"
    """What it is if the data differs from that of the last blessed run by more than the schema allows."""


class ExampleValidatorSettings(ChecksSettings):
    """All that the anomalies depend on."""

    max_quarantine: float = pydantic.Field(0.01, ge=0, le=1)
    """Share of files set aside above which the data does not pass; set by `data.max_quarantine`."""
    needs: list[str] = []
    """Annotations that must be there: "label", "objects", "mask"; set by the task."""
    leaks: Severity = "error"
    """What duplicates in different splits are, and groups in several; set by `data.leaks`. Where it is
    not off, duplicates within a split and with different labels are told too, as warnings."""
    label_errors: bool = False
    """Whether to look for wrong labels, by training on parts of the data; set by `data.label_errors`."""
