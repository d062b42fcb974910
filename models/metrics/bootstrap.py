"""Bootstrap resampling of examples, as weights."""

from collections.abc import Iterator

import numpy as np

_BLOCK = 1 << 22  # weights made at a time: bounds memory


def resamples(examples: int, count: int, seed: int) -> Iterator[np.ndarray]:
    """Yields blocks of resamples.

    Args:
        examples: Number of examples, n.
        count: Number of resamples in all.
        seed: Of the random numbers.

    Yields:
        int32 [b, n]: how often each example was drawn in each of b resamples; rows sum to n.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 6.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(examples, 1))
    for start in range(0, count, rows):
        size = min(rows, count - start)
        drawn = generator.integers(0, examples, (size, examples))
        drawn += np.arange(size)[:, None] * examples
        counts = np.bincount(drawn.ravel(), minlength=size * examples)
        yield counts.reshape(size, examples).astype(np.int32)


def interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Returns the 95% percentile interval of resampled values; (None, None) if none is defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
