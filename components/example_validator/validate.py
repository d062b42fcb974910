"""All checks, in order, and the gate."""

import pathlib
import typing

from conveyor.components.artifacts import Anomalies, Examples, Schema, Statistics
from conveyor.components.example_validator.anomaly import Anomaly, clip, count_of
from conveyor.components.example_validator.checks import check_needs, check_schema
from conveyor.components.example_validator.compare import find_drift, find_skew
from conveyor.components.example_validator.quarantine import check_quarantine
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.components.schema_gen.text import parse_schema, read_text

_TOLD = 8  # errors in the gate's message
_LONGEST = 300  # characters of each


def find_anomalies(
    examples: Examples,
    statistics: dict[str, typing.Any],
    schema: Schema,
    before: dict[str, typing.Any] | None,
    pictures: pathlib.Path,
    settings: ExampleValidatorSettings,
) -> list[Anomaly]:
    """Returns all anomalies, gravest first.

    Args:
        examples: The data.
        statistics: The document of its statistics.
        schema: What it must look like.
        before: The statistics of the last blessed run, if there are other ones.
        pictures: The folder to write pictures into; its parent is the artifact.
        settings: What counts as an anomaly.

    Raises:
        UserError: The schema cannot be used.
    """
    rules = parse_schema(read_text(schema.file), str(schema.file))
    properties = examples.properties
    found = [
        *check_quarantine(examples.quarantine(), properties["read"], settings.max_quarantine),
        *check_needs(statistics, properties["annotations"], settings),
        *check_schema(statistics, rules, settings.needs),
    ]
    if settings.skew != "off":
        found += find_skew(statistics, rules, settings.skew)
    if settings.drift != "off" and before is not None:
        found += find_drift(statistics, before, rules, settings.drift)
    if settings.leaks != "off":
        from conveyor.components.example_validator.duplicates import find_leaks

        found += find_leaks(examples, settings.leaks, pictures)
    if settings.label_errors:
        from conveyor.components.label_errors.find import find_label_errors

        found += find_label_errors(examples, pictures)
    return sorted(found, key=lambda anomaly: anomaly["severity"] != "error")


def validate(
    examples: Examples,
    statistics: Statistics,
    schema: Schema,
    baseline: str,
    anomalies: Anomalies,
    settings: ExampleValidatorSettings,
) -> None:
    """Fills the artifact, and closes its gate where an anomaly is an error.

    Args:
        examples: The data.
        statistics: Of the data.
        schema: What the data must look like.
        baseline: Directory of the statistics to measure drift from; "" for none.
        anomalies: The output.
        settings: What counts as an anomaly.
    """
    before = Statistics(pathlib.Path(baseline)).read() if baseline else None
    pictures = anomalies.path / "pictures"
    found = find_anomalies(examples, statistics.read(), schema, before, pictures, settings)
    anomalies.write(found)
    anomalies.properties["summary"] = {"anomalies": len(found)}
    errors = [anomaly for anomaly in found if anomaly["severity"] == "error"]
    if errors:
        told = "; ".join(clip(anomaly["long"], _LONGEST) for anomaly in errors[:_TOLD])
        more = f"; and {count_of(len(errors) - _TOLD, 'more error')}" if len(errors) > _TOLD else ""
        anomalies.close_gate(
            f"the data did not pass: {told}{more}",
            "mend the data, or change the limit in the config if you mean it",
        )
