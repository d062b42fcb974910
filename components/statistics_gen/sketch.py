"""Mergeable summaries of numbers: exact count, extremes, mean and variance; quantiles within 0.5%."""

import collections
import math

import numpy as np

_GAMMA = 1.01  # quantiles are off by at most (gamma - 1) / (gamma + 1)
_SMALLEST = 1e-9  # what is less counts as zero where quantiles are concerned
_ZERO = -(1 << 31)  # number of the bucket of zeros
_UNIT = 1 << 24  # sums are counted in 1/_UNIT, as whole numbers: their order then makes no difference


class Sketch:
    """A summary of non-negative numbers that can be merged with another.

    Merging is exact: in whatever order parts are merged, and however they were cut, the summary is
    the same to the last bit. Values below 2^39 that are no multiples of 2^-24 are rounded to one.

    Source: Masson, Rim, Lee, "DDSketch", VLDB 2019, section 2 (buckets of equal relative width).
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self.squares = 0
        self.low = math.inf
        self.high = -math.inf
        self.buckets: collections.Counter[int] = collections.Counter()

    def add(self, values: np.ndarray) -> "Sketch":
        """Adds values of shape [n]; returns itself."""
        if len(values):
            exact = values.astype(np.float64)
            units = np.rint(exact * _UNIT).astype(np.int64).tolist()
            self.count += len(units)
            self.total += sum(units)
            self.squares += sum(unit * unit for unit in units)
            self.low = min(self.low, float(exact.min()))
            self.high = max(self.high, float(exact.max()))
            numbers = np.ceil(np.log(np.maximum(exact, _SMALLEST)) / math.log(_GAMMA)).astype(np.int64)
            numbers[exact < _SMALLEST] = _ZERO
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
        """Returns, within 0.5%, number floor(share * (n - 1)) of the n values in order, from 0."""
        rank = share * (self.count - 1)
        seen = 0
        for number in sorted(self.buckets):
            seen += self.buckets[number]
            if seen > rank:
                break
        middle = 0.0 if number == _ZERO else 2 * _GAMMA**number / (_GAMMA + 1)
        return min(max(middle, self.low), self.high)

    def describe(self, shares: int) -> dict[str, float | list[float]]:
        """Returns min, max, mean, std and the quantiles that cut the values into equal shares."""
        return {
            "min": self.low,
            "max": self.high,
            "mean": self.total / (self.count * _UNIT),
            "std": deviation(self.count, self.total, self.squares) / _UNIT,
            "quantiles": [self.quantile(number / shares) for number in range(shares + 1)],
        }


def deviation(count: int, total: int, squares: int) -> float:
    """Returns the standard deviation of whole numbers from their count, sum and sum of squares.

    Whole numbers of any size, so that no digits are lost where the mean is large.
    """
    return math.sqrt(count * squares - total * total) / count
