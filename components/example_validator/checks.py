"""Checks of the statistics against the schema, and of what a run needs."""

import collections
import math
import typing

from tensorflow_metadata.proto.v0 import schema_pb2

from conveyor.components.example_validator.anomaly import Anomaly, count_of, list_names, make_anomaly
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.components.schema_gen.features import NUMBERS, STRINGS, by_path, domain_of, look_up

Stats = dict[str, typing.Any]
_CLASSES = ("label", "objects/label", "mask/label")
_HOLDERS = {"label": "example", "objects/label": "object", "mask/label": "mask"}
_ROUNDING = 1e-6  # of the schema's 32-bit floats


def check_needs(
    statistics: dict[str, Stats], annotations: list[str], settings: ExampleValidatorSettings
) -> list[Anomaly]:
    """Returns what the run needs and the data lacks: annotations, splits, and a second class."""
    lacking = [
        make_anomaly(
            "missing_need",
            "error",
            f"the data has no {need}",
            f"the task needs {need} with each example, and the data has"
            f" {' and '.join(annotations) or 'no annotations'} only",
        )
        for need in settings.needs
        if need not in annotations
    ]
    empty = [
        make_anomaly(
            "empty_split",
            "error",
            f"split {split} is empty",
            f"split {split} holds no example, and the run needs it",
            split=split,
        )
        for split in settings.required_splits
        if not statistics.get(split, {}).get("examples")
    ]
    return [*lacking, *empty, *_too_few(statistics, "label" in settings.needs)]


def _too_few(statistics: dict[str, Stats], needed: bool) -> list[Anomaly]:
    """Tells of classes without an example to learn from and another to be judged by."""
    counts: collections.Counter[str] = collections.Counter()
    for values in statistics.values():
        counts.update(values.get("classes", {}))
    found = []
    if rare := [name for name, count in counts.items() if count < 2]:
        short = f"{count_of(len(rare), 'class')} with fewer than two usable images"
        long = (
            f"{_class(rare)} {list_names(rare)}: one image to learn from and another to judge by are needed"
        )
        found.append(make_anomaly("rare_class", "warning", short, long))
    if sum(count > 0 for count in counts.values()) == 1:
        names = list_names(name for name, count in counts.items() if count)
        long = f"every example with a label is of class {names}: there is nothing to tell apart"
        severity = "error" if needed else "warning"
        found.append(make_anomaly("one_class", severity, "there is only one class", long))
    return found


def check_schema(statistics: dict[str, Stats], schema: schema_pb2.Schema, needs: list[str]) -> list[Anomaly]:
    """Returns where the data is not as the schema says.

    Args:
        statistics: The document of a Statistics artifact.
        schema: What the data must look like.
        needs: Annotations whose absence is an error.
    """
    found: list[Anomaly] = []
    whole = {split: values for split, values in statistics.items() if values["examples"]}
    for path, feature in by_path(schema).items():
        for split, values in whole.items():
            if path in STRINGS:
                found += _check_domain(split, values, path, domain_of(schema, feature))
            elif path in NUMBERS:
                found += _check_range(split, values, path, feature)
            elif path == "objects":
                found += _check_valency(split, values, feature)
            found += _check_presence(split, values, path, feature, needs)
    return found


def _check_domain(split: str, values: Stats, path: str, known: list[str] | None) -> list[Anomaly]:
    counts = look_up(values, path)
    if known is None or counts is None:
        return []
    found = []
    unknown = {name: count for name, count in counts.items() if count and name not in known}
    if unknown and path in _CLASSES:
        number = count_of(sum(unknown.values()), _HOLDERS[path])
        found.append(
            make_anomaly(
                "unknown_class",
                "error",
                f"{count_of(len(unknown), 'class')} of {split} not in the schema",
                f"{number} of split {split} are of {_class(unknown)} {list_names(unknown)}, which the schema"
                " (inferred from the training split unless you gave one) does not have",
                split=split,
            )
        )
    elif unknown:
        found.append(
            make_anomaly(
                f"unknown_{path}",
                "warning",
                f"a {path} not in the schema",
                f"{count_of(sum(unknown.values()), 'example')} of split {split} have the {path}"
                f" {list_names(unknown)}; the schema knows {list_names(known)}",
                split=split,
            )
        )
    missing = [name for name in known if not counts.get(name)]
    if missing and path in _CLASSES:
        found.append(
            make_anomaly(
                "missing_class",
                "warning",
                f"{count_of(len(missing), 'class')} missing from {split}",
                f"split {split} holds no {_HOLDERS[path]} of {_class(missing)} {list_names(missing)}:"
                f" {'they cannot be learnt' if split == 'train' else 'nothing is measured there about them'}",
                split=split,
            )
        )
    return found


def _class(names: typing.Sized) -> str:
    return "class" if len(names) == 1 else "classes"


def _check_range(split: str, values: Stats, path: str, feature: schema_pb2.Feature) -> list[Anomaly]:
    seen, kind = look_up(values, path), feature.WhichOneof("domain_info")
    if seen is None or kind not in ("int_domain", "float_domain"):
        return []
    low, high = _limits(getattr(feature, kind))
    if seen["min"] >= low - _ROUNDING * abs(low) and seen["max"] <= high + _ROUNDING * abs(high):
        return []
    return [
        make_anomaly(
            f"{path.replace('/', '_')}_range",
            "warning",
            f"{path} outside the schema",
            f"split {split} has {path} from {seen['min']:.10g} to {seen['max']:.10g};"
            f" the schema says {low:.10g} to {high:.10g}",
            split=split,
        )
    ]


def _limits(limits: typing.Any) -> tuple[float, float]:
    """Returns min and max; without end where the schema leaves one out."""
    low = limits.min if limits.HasField("min") else -math.inf
    return low, limits.max if limits.HasField("max") else math.inf


def _check_valency(split: str, values: Stats, feature: schema_pb2.Feature) -> list[Anomaly]:
    if "objects" not in values or not feature.HasField("value_count"):
        return []
    low, high = _limits(feature.value_count)
    seen = values["objects"]["per_image"]
    if low <= seen["min"] and seen["max"] <= high:
        return []
    return [
        make_anomaly(
            "objects_count",
            "warning",
            "objects in an image outside the schema",
            f"images of split {split} have {seen['min']:.10g} to {seen['max']:.10g} objects;"
            f" the schema says {low:.10g} to {high:.10g}",
            split=split,
        )
    ]


def _check_presence(
    split: str, values: Stats, path: str, feature: schema_pb2.Feature, needs: list[str]
) -> list[Anomaly]:
    examples, present = values["examples"], _present(values, path)
    least = max(feature.presence.min_fraction * examples, feature.presence.min_count)
    if not feature.HasField("presence") or present >= least * (1 - _ROUNDING):
        return []
    return [
        make_anomaly(
            "missing_values",
            "error" if path in needs else "warning",
            f"{path} is missing from {split}",
            f"{count_of(examples - present, 'example')} of {examples:,} in split {split} have no {path};"
            f" the schema says that {least:.10g} must have it",
            split=split,
        )
    ]


def _present(values: Stats, path: str) -> int:
    """Returns how many examples have a feature."""
    if path == "label":
        return sum(values.get("classes", {}).values())
    if path == "objects":
        return values["examples"] - values["objects"]["empty_images"] if path in values else 0
    return values["examples"] if path == "image" or look_up(values, path) is not None else 0
