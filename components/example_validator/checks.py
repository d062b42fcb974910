"""The checks behind `example_validator`: each returns the anomalies it finds."""

import collections
import math
import typing
from collections.abc import Iterable

from tensorflow_metadata.proto.v0 import schema_pb2

from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.pipeline.errors import UserError, did_you_mean

Anomaly = dict[str, typing.Any]
_RANGES = ("width", "height", "bytes", "brightness")  # what the statistics have a range of
_SHOWN = 10  # examples named in an anomaly


def find_anomalies(
    statistics: dict[str, typing.Any],
    schema: schema_pb2.Schema,
    quarantine: list[dict[str, str]],
    read: int,
    settings: ExampleValidatorSettings,
) -> list[Anomaly]:
    """Returns all anomalies, gravest first.

    Args:
        statistics: The document of a Statistics artifact.
        schema: What the data must look like.
        quarantine: Rows with `file`, `reason`, `detail`.
        read: Number of files read.
        settings: What counts as an anomaly.

    Returns:
        Dicts with `kind`, `severity` ("error" or "warning"), `split`, `short`, `long`, `examples`.

    Raises:
        UserError: The schema does not say which classes there are, or speaks of what is not measured.
    """
    classes = _classes(schema)
    found = [
        *_quarantined(quarantine, read, settings.max_quarantine),
        *_empty_splits(statistics, settings.required_splits),
        *_unknown_classes(statistics, classes),
        *_missing_classes(statistics, classes),
        *_sizes_outside(statistics, schema),
    ]
    return sorted(found, key=lambda anomaly: anomaly["severity"] != "error")


def _classes(schema: schema_pb2.Schema) -> list[str]:
    domains = {domain.name: list(domain.value) for domain in schema.string_domain}
    if "label" not in domains:
        raise UserError(
            "the schema does not say which classes there are",
            expected='a string_domain with the name "label"',
            received=", ".join(domains) or "no string_domain",
        )
    return domains["label"]


def _anomaly(
    kind: str, severity: str, short: str, long: str, *, split: str = "", examples: Iterable[str] = ()
) -> Anomaly:
    return {
        "kind": kind,
        "severity": severity,
        "split": split,
        "short": short,
        "long": long,
        "examples": list(examples)[:_SHOWN],
    }


def _quarantined(quarantine: list[dict[str, str]], read: int, limit: float) -> list[Anomaly]:
    """One anomaly a reason; errors where too large a share of all files was set aside."""
    files = collections.defaultdict(list)
    for row in quarantine:
        files[row["reason"]].append(row["file"])
    share = len(quarantine) / max(read, 1)
    severity = "error" if share > limit else "warning"
    return [
        _anomaly(
            reason,
            severity,
            f"{len(names)} files set aside: {reason}",
            f"{len(names)} of {read} files were set aside as {reason}, such as {names[0]}"
            + (f"; {share:.2%} in all, and data.max_quarantine is {limit:.2%}" if share > limit else ""),
            examples=names,
        )
        for reason, names in sorted(files.items())
    ]


def _empty_splits(statistics: dict[str, typing.Any], required: list[str]) -> list[Anomaly]:
    return [
        _anomaly(
            "empty_split",
            "error",
            f"split {split} is empty",
            f"split {split} holds no example, and the run needs it",
            split=split,
        )
        for split in required
        if statistics.get(split, {}).get("examples", 0) == 0
    ]


def _unknown_classes(statistics: dict[str, typing.Any], known: list[str]) -> list[Anomaly]:
    return [
        _anomaly(
            "unknown_class",
            "error",
            f"class {name} is not in the schema",
            f"{count} examples of split {split} are of class {name!r}, which the training split"
            " does not have: the model cannot learn it",
            split=split,
        )
        for split, values in statistics.items()
        for name, count in values["classes"].items()
        if count and name not in known
    ]


def _missing_classes(statistics: dict[str, typing.Any], known: list[str]) -> list[Anomaly]:
    return [
        _anomaly(
            "missing_class",
            "warning",
            f"class {name} is missing from {split}",
            f"split {split} holds no example of class {name!r}: nothing is measured there about it",
            split=split,
        )
        for split, values in statistics.items()
        for name in known
        if values["classes"].get(name, 0) == 0
    ]


def _sizes_outside(statistics: dict[str, typing.Any], schema: schema_pb2.Schema) -> list[Anomaly]:
    found = []
    for feature in schema.feature:
        if not feature.HasField("int_domain"):
            continue
        low, high = _limits(feature.int_domain)
        for split, values in statistics.items():
            if feature.name not in values:
                fix = did_you_mean(feature.name, _RANGES)
                raise UserError(f"the schema has a range of {feature.name}, which is not measured", fix=fix)
            seen_low, seen_high = values[feature.name]["min"], values[feature.name]["max"]
            if seen_low < low or seen_high > high:
                found.append(
                    _anomaly(
                        f"{feature.name}_range",
                        "warning",
                        f"{feature.name} outside the schema",
                        f"split {split} has {feature.name} from {seen_low:.10g} to {seen_high:.10g};"
                        f" the schema says {low:.10g} to {high:.10g}",
                        split=split,
                    )
                )
    return found


def _limits(domain: schema_pb2.IntDomain) -> tuple[float, float]:
    """Returns the limits of a range; without end where the schema leaves one out."""
    low = domain.min if domain.HasField("min") else -math.inf
    return low, domain.max if domain.HasField("max") else math.inf
