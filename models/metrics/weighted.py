"""Metrics as functions of the examples' weights, of which values and intervals are made."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Set

import numpy as np

from conveyor.models.metrics import bootstrap
from conveyor.models.metrics.proportions import Interval, score_interval, wilson

Weighted = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Weights of examples, int [b, n] -> metric name -> values, float [b]; NaN where undefined."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """A `Weighted` that says of its metrics what their intervals are made of.

    Args:
        compute: The metrics.
        rests: Name of a metric in [0, 1] -> int [m], the examples that it rests on: of the average precision
            of a class its positives, of an accuracy all. Other metrics have percentile intervals.
        shares: Those of them that are shares of these examples, each right or wrong: Wilson's intervals.
        raised: Metrics that chance alone makes larger, as it does what sums sizes of differences.
    """

    compute: Weighted
    rests: Mapping[str, np.ndarray]
    shares: Set[str] = frozenset()
    raised: Set[str] = frozenset()

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return self.compute(weights)

    def interval(self, name: str, value: float, drawn: np.ndarray, groups: np.ndarray | None) -> Interval:
        """Returns the 95% interval of one metric.

        Args:
            name: Of the metric.
            value: On all examples.
            drawn: float [b], on resamples.
            groups: [n], what was drawn; None for the examples themselves.
        """
        if name in self.raised:
            return bootstrap.raised_interval(value, drawn)
        if name not in self.rests:
            return bootstrap.interval(drawn)
        rows = self.rests[name]
        if groups is not None:  # of one group examples are no independent trials
            return score_interval(value, drawn, len(np.unique(groups[rows])))
        return wilson(value, len(rows)) if name in self.shares else score_interval(value, drawn, len(rows))


@dataclasses.dataclass(frozen=True)
class Sample:
    """One metric of a model on some examples.

    Args:
        value: On the examples themselves; None where undefined.
        drawn: float [resamples], on resamples of them; NaN where undefined.
        low: Where the 95% interval begins; None where there is none.
        high: Where it ends.
    """

    value: float | None
    drawn: np.ndarray
    low: float | None = None
    high: float | None = None

    def row(self) -> dict[str, float | None]:
        """Returns `value`, `low` and `high`."""
        return {"value": self.value, "low": self.low, "high": self.high}


def measure(weighted: Weighted, examples: int) -> dict[str, float | None]:
    """Returns metric name -> value over all examples; None where undefined."""
    values = weighted(np.ones((1, examples), np.int32))
    return {name: float(value[0]) if np.isfinite(value[0]) else None for name, value in values.items()}


def resampled(
    weighted: Weighted, examples: int, count: int, seed: int, groups: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Returns metric name -> float [count], its values on resamples; arguments as of `resamples`."""
    blocks = [weighted(weights) for weights in bootstrap.resamples(examples, count, seed, groups)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in (blocks or [{}])[0]}


def sample(
    weighted: Weighted, examples: int, count: int, seed: int, groups: np.ndarray | None = None
) -> dict[str, Sample]:
    """Returns each metric on the examples and on resamples of them, with its interval.

    There are no resamples where less than two examples, or groups, could be drawn: they would all be alike.

    Args:
        weighted: The metrics. A plain function has percentile intervals, see `Scores`.
        examples: Number of examples.
        count: Number of resamples; 0 for no intervals.
        seed: Of the resamples.
        groups: [n], such as the patient of each example; see `resamples`.
    """
    scores = weighted if isinstance(weighted, Scores) else Scores(weighted, {})
    units = examples if groups is None else len(np.unique(groups))
    drawn = resampled(scores, examples, count, seed, groups) if units > 1 else {}

    def samples() -> Iterator[tuple[str, Sample]]:
        for name, value in measure(scores, examples).items():
            values = drawn.get(name, np.array([]))
            low, high = None, None
            if value is not None and len(values):
                low, high = scores.interval(name, value, values, groups)
            yield name, Sample(value, values, low, high)

    return dict(samples())


def evaluate(
    weighted: Weighted, examples: int, count: int, seed: int, groups: np.ndarray | None = None
) -> dict[str, dict[str, float | None]]:
    """Returns metric name -> `value`, and `low` and `high` of its 95% interval; arguments as of `sample`."""
    return {name: one.row() for name, one in sample(weighted, examples, count, seed, groups).items()}
