"""Metrics as functions of the examples' weights, of which values and intervals are made."""

from collections.abc import Callable

import numpy as np

from conveyor.models.metrics.bootstrap import interval, resamples

Weighted = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Weights of examples, int [b, n] -> metric name -> values, float [b]; NaN where undefined."""


def measure(weighted: Weighted, examples: int) -> dict[str, float | None]:
    """Returns metric name -> value over all examples; None where undefined."""
    values = weighted(np.ones((1, examples), np.int32))
    return {name: float(value[0]) if np.isfinite(value[0]) else None for name, value in values.items()}


def resampled(
    weighted: Weighted, examples: int, count: int, seed: int, groups: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Returns metric name -> float [count], its values on resamples; arguments as of `resamples`."""
    blocks = [weighted(weights) for weights in resamples(examples, count, seed, groups)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in (blocks or [{}])[0]}


def evaluate(weighted: Weighted, examples: int, count: int, seed: int) -> dict[str, dict[str, float | None]]:
    """Returns metric name -> `value`, and `low` and `high` of its 95% interval; arguments as above."""
    drawn = resampled(weighted, examples, count, seed)
    found = {}
    for name, value in measure(weighted, examples).items():
        low, high = interval(drawn[name]) if value is not None and name in drawn else (None, None)
        found[name] = {"value": value, "low": low, "high": high}
    return found
