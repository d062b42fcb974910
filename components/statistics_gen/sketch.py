"""Mergeable summaries of numbers: exact count, extremes, mean and variance; quantiles within 0.5%."""

import collections
import math

import numpy as np

_GAMMA = 1.01  # quantiles are off by at most (gamma - 1) / (gamma + 1)


class Sketch:
    """A summary of non-negative numbers that can be merged with another.

    Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, section 2 (buckets of equal relative width).
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.squares = 0.0
        self.low = math.inf
        self.high = -math.inf
        self.buckets: collections.Counter[int] = collections.Counter()

    def add(self, values: np.ndarray) -> "Sketch":
        """Adds values of shape [n]; returns itself."""
        if len(values):
            exact = values.astype(np.float64)
            self.count += len(values)
            self.total += float(exact.sum())
            self.squares += float((exact * exact).sum())
            self.low = min(self.low, float(exact.min()))
            self.high = max(self.high, float(exact.max()))
            numbers = np.ceil(np.log(np.maximum(exact, 1e-9)) / math.log(_GAMMA)).astype(np.int64)
            for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
                self.buckets[int(number)] += int(count)
        return self

    def merge(self, other: "Sketch") -> "Sketch":
        """Adds all that the other has seen; returns itself."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        self.buckets.update(other.buckets)
        return self

    def quantile(self, share: float) -> float:
        """Returns the value below which a share in [0, 1] of the values lies."""
        rank = share * (self.count - 1)
        seen = 0
        for number in sorted(self.buckets):
            seen += self.buckets[number]
            if seen > rank:
                middle = 2 * _GAMMA**number / (_GAMMA + 1)
                return min(max(middle, self.low), self.high)
        return self.high

    def describe(self, shares: int) -> dict[str, float | list[float]]:
        """Returns min, max, mean, std and the quantiles that cut the values into equal shares."""
        mean = self.total / self.count
        variance = max(self.squares / self.count - mean * mean, 0.0)
        return {
            "min": self.low,
            "max": self.high,
            "mean": mean,
            "std": math.sqrt(variance),
            "quantiles": [self.quantile(number / shares) for number in range(shares + 1)],
        }
