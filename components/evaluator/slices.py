"""Cuts judged examples into slices, by what is known of each."""

import dataclasses
from collections.abc import Container, Iterator, Sequence

import numpy as np
import pyarrow as pa

from conveyor.components.artifacts import Examples
from conveyor.components.facts import read_facts
from conveyor.pipeline.errors import UserError

FEWEST = 30  # examples of a slice: of fewer, an interval says little
_MOST = 200  # slices of one kind: those with the most examples
# Other kinds are columns themselves.
_COLUMNS = {"class": ["label"], "size": ["width", "height"], "object_size": ["objects"]}
_CATEGORIES = ("group", "format", "mode")


@dataclasses.dataclass(frozen=True)
class Slice:
    """Some of the judged examples.

    Args:
        name: Such as "class cat" or "brightness low (3 to 41)".
        examples: How many it is of.
        rows: bool [n], the examples to measure on.
        metric: The metric to measure.
    """

    name: str
    examples: int
    rows: np.ndarray
    metric: str


def cut(
    examples: Examples,
    split: str,
    ids: np.ndarray,
    kinds: Sequence[str],
    metric: str,
    measured: Container[str],
) -> tuple[list[Slice], int]:
    """Returns slices, and how many were left out because they have fewer than 30 examples.

    Args:
        examples: The data.
        split: The judged one.
        ids: str [n], the judged examples in order.
        kinds: What to cut by, see `JudgeSettings.slices`.
        metric: The metric to measure.
        measured: Names of all metrics.

    Raises:
        UserError: The examples have no class each.
    """
    columns = {name for kind in kinds for name in _COLUMNS.get(kind, [kind])}
    facts = read_facts(examples, ["key", *sorted(columns)], split)
    places = {key: place for place, key in enumerate(facts["key"].to_pylist())}
    facts = facts.take([places[key] for key in ids.tolist()])
    known = {name: _values(facts, name) for name in columns}
    found: list[Slice] = []
    for kind in dict.fromkeys(kinds):
        if kind == "class":
            found += _classes(known["label"], examples.properties["classes"], metric, measured)
        elif kind in _CATEGORIES:
            found += _categories(kind, known[kind], metric)
        else:
            found += _thirds(kind, _numbers(kind, known), metric)
    kept = [part for part in found if part.examples >= FEWEST]
    return kept, len(found) - len(kept)


def _values(facts: pa.Table, column: str) -> np.ndarray:
    """Returns [n], the values of a column; of objects the lists of their areas, without crowds."""
    rows = facts[column].to_pylist()
    if column != "objects":
        return np.array(rows)
    found = np.empty(len(rows), object)
    found[:] = [[one["area"] for one in row if not one["crowd"]] for row in rows]
    return found


def _numbers(kind: str, known: dict[str, np.ndarray]) -> np.ndarray:
    """Returns float [n]; NaN for images without what is asked for."""
    if kind == "size":
        return np.sqrt(known["width"] * known["height"])
    if kind == "object_size":
        areas = known["objects"]
        return np.array([np.median(np.sqrt(row)) if row else np.nan for row in areas], np.float64)
    return np.array([len(row) for row in known[kind]]) if kind == "objects" else known[kind]


def _classes(
    labels: np.ndarray, classes: list[str], metric: str, measured: Container[str]
) -> Iterator[Slice]:
    """Yields a slice a class, by the metric's own value for the class where there is one.

    Average precision, for one, needs the examples of other classes too.
    """
    heads = (metric, metric.removesuffix("_macro"), metric.removeprefix("mean_"))
    for label, name in enumerate(classes):
        rows = labels == label
        own = next((f"{head}/{name}" for head in heads if f"{head}/{name}" in measured), None)
        if own is None and (labels < 0).all():
            raise UserError(
                f"evaluator.slices: examples have no class each, and {metric!r} is not told for each class",
                fix="leave out `class`",
            )
        if own is None:
            yield Slice(f"class {name}", int(rows.sum()), rows, metric)
        else:
            count = len(labels) if (labels < 0).all() else int(rows.sum())
            yield Slice(f"class {name}", count, np.ones(len(labels), bool), own)


def _categories(kind: str, values: np.ndarray, metric: str) -> Iterator[Slice]:
    """Yields a slice a value, if there are several; "" is no value."""
    found, counts = np.unique(values, return_counts=True)
    most = np.sort(np.argsort(-counts, kind="stable")[:_MOST])
    for place in most:
        if found[place] and len(found) > 1:
            yield Slice(f"{kind} {found[place]}", int(counts[place]), values == found[place], metric)


def _thirds(kind: str, values: np.ndarray, metric: str) -> Iterator[Slice]:
    """Yields the low, the middle and the high third, if there are several; equal values stay together.

    Examples without a value, NaN, are in none.
    """
    known = np.isfinite(values)
    if not known.any():
        return
    first, second = np.quantile(values[known], [1 / 3, 2 / 3])
    third = np.where(known, (values > first).astype(int) + (values > second), -1)
    if len(np.unique(third[known])) == 1:
        return
    for number, name in enumerate(("low", "middle", "high")):
        rows = third == number
        if rows.any():
            ends = f"{values[rows].min():.4g} to {values[rows].max():.4g}"
            yield Slice(f"{kind} {name} ({ends})", int(rows.sum()), rows, metric)
