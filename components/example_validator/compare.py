"""Skew between splits, and drift since an earlier run: distances beyond what the schema allows."""

import collections
import typing

from tensorflow_metadata.proto.v0 import schema_pb2

from conveyor.components.example_validator.anomaly import Anomaly, clip, make_anomaly
from conveyor.components.example_validator.distance import (
    Distance,
    divergence,
    effective_size,
    infinity_norm,
    jensen_shannon,
)
from conveyor.components.schema_gen.features import NUMBERS, STRINGS, by_path, look_up
from conveyor.components.statistics_gen.sketch import Sketch

Document = dict[str, typing.Any]


class Sample:
    """One split or several, to compare with another sample.

    Args:
        name: What it is called in messages.
        splits: The statistics of its splits.
    """

    def __init__(self, name: str, splits: list[Document]):
        self.name = name
        self._splits = [values for values in splits if values["examples"]]

    def counts(self, path: str) -> collections.Counter[str]:
        """Returns name -> count of a string; empty where it is not measured."""
        found: collections.Counter[str] = collections.Counter()
        for values in self._splits:
            found.update(look_up(values, path) or {})
        return found

    def sketch(self, path: str) -> Sketch:
        """Returns the merged sketch of a number; empty where it is not measured."""
        return self._merge(look_up(values, path) for values in self._splits)

    def size(self, path: str) -> float:
        """Returns the number of independent examples behind a feature."""
        if path.startswith("objects/"):
            return effective_size(self._merge(values["objects"]["per_image"] for values in self._splits))
        return float(sum(self.counts(path).values()) if path == "label" else self._examples())

    def _examples(self) -> int:
        return sum(values["examples"] for values in self._splits)

    @staticmethod
    def _merge(summaries: typing.Iterable[Document | None]) -> Sketch:
        merged = Sketch()
        for summary in summaries:
            if summary and "sketch" in summary:
                merged.merge(Sketch.from_json(summary["sketch"]))
        return merged


def find_skew(statistics: dict[str, Document], schema: schema_pb2.Schema, severity: str) -> list[Anomaly]:
    """Returns where another split differs from the training split (or the first, if there is none)."""
    whole = {split: values for split, values in statistics.items() if values["examples"]}
    first = "train" if "train" in whole else next(iter(whole), "")
    return [
        anomaly
        for split, values in whole.items()
        if split != first
        for anomaly in _compare(
            "skew", severity, schema, Sample(first, [whole[first]]), Sample(split, [values]), split
        )
    ]


def find_drift(
    statistics: dict[str, Document], before: dict[str, Document], schema: schema_pb2.Schema, severity: str
) -> list[Anomaly]:
    """Returns where the data, all splits together, differs from that of an earlier run."""
    old = Sample("the last blessed run", list(before.values()))
    new = Sample("this run", list(statistics.values()))
    return _compare("drift", severity, schema, old, new, "")


def _compare(
    kind: str, severity: str, schema: schema_pb2.Schema, old: Sample, new: Sample, split: str
) -> list[Anomaly]:
    found = []
    for path, feature in by_path(schema).items():
        limits = feature.skew_comparator if kind == "skew" else feature.drift_comparator
        for measure in ("infinity_norm", "jensen_shannon_divergence"):
            if not limits.HasField(measure):
                continue
            threshold = getattr(limits, measure).threshold
            distance = _measure(measure, path, old, new)
            if distance and distance.exceeds(threshold):
                text = _tell(path, distance, threshold, old, new)
                short = f"{path} differs between {old.name} and {new.name}"
                found.append(make_anomaly(kind, severity, short, text, split=split))
    return found


def _measure(measure: str, path: str, old: Sample, new: Sample) -> Distance | None:
    """Returns a distance; None where there is nothing to compare."""
    if path in STRINGS:
        counts = old.counts(path), new.counts(path)
        if not all(any(count.values()) for count in counts):
            return None
        between = infinity_norm if measure == "infinity_norm" else jensen_shannon
        return between(*counts, (old.size(path), new.size(path)))
    if path not in NUMBERS:
        return None
    sketches = old.sketch(path), new.sketch(path)
    if not all(sketch.count for sketch in sketches):
        return None
    return divergence(*sketches, (old.size(path), new.size(path)))


def _tell(path: str, distance: Distance, threshold: float, old: Sample, new: Sample) -> str:
    limit = f"the schema allows {threshold:.3g}, and chance explains {min(distance.chance, 1.0):.3g}"
    if distance.name:
        one, other = distance.shares
        return (
            f"the share of {path} {clip(distance.name)!r} is {one:.3f} in {old.name} and {other:.3f} in"
            f" {new.name}, a difference of {distance.value:.3f}; {limit}"
        )
    medians = ""
    if path in NUMBERS:
        one, other = (sample.sketch(path).quantile(0.5) for sample in (old, new))
        medians = f" (medians {one:.4g} and {other:.4g})"
    return (
        f"{path} is distributed differently in {old.name} and {new.name}{medians}: Jensen-Shannon divergence"
        f" {distance.value:.3f}; {limit}"
    )
