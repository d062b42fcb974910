"""Mergeable summaries of numbers: exact count, extremes, mean and variance; quantiles within 0.5%."""

import collections
import math
import typing

import numpy as np

_GAMMA = 1.01  # quantiles are off by at most (gamma - 1) / (gamma + 1)
_SMALLEST = 1e-9  # what is less counts as zero where quantiles are concerned
_ZERO = -(1 << 31)  # number of the bucket of zeros
_UNIT = 1 << 24  # sums are counted in 1/_UNIT, as whole numbers: their order then makes no difference
_LIMB = 21  # bits: products of limbs of so many, summed over _CHUNK values, fit into 63
_SHIFTS = (2 * _LIMB, _LIMB, 0)
_CHUNK = 1 << 20


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
        for start in range(0, len(values), _CHUNK):
            part = values[start : start + _CHUNK]
            for sketch in _sketch_groups(part, np.zeros(len(part), np.int64)).values():
                self.merge(sketch)
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
        return self._middle(number)

    def _middle(self, number: int) -> float:
        """Returns what the values of a bucket are told as."""
        middle = 0.0 if number == _ZERO else 2 * _GAMMA**number / (_GAMMA + 1)
        return min(max(middle, self.low), self.high)

    @property
    def zeros(self) -> int:
        """How many of the values are zero."""
        return self.buckets[_ZERO]

    def histogram(self, bars: int) -> list[tuple[float, float, int]]:
        """Returns (low, high, count) of bars of equal width; a value at an edge may count to either side."""
        width = (self.high - self.low) / bars
        counts = [0] * bars
        for number, count in self.buckets.items():
            bar = int((self._middle(number) - self.low) / width) if width else 0
            counts[min(bar, bars - 1)] += count
        edges = [self.low + width * bar for bar in range(bars)] + [self.high]
        return list(zip(edges[:-1], edges[1:], counts, strict=True))

    def describe(self, shares: int) -> dict[str, typing.Any] | None:
        """Returns min, max, mean, std, the quantiles that cut the values into equal shares, and `sketch`.

        None where there are no values.
        """
        if not self.count:
            return None
        return {
            "min": self.low,
            "max": self.high,
            "mean": self.total / (self.count * _UNIT),
            "std": deviation(self.count, self.total, self.squares) / _UNIT,
            "quantiles": [self.quantile(number / shares) for number in range(shares + 1)],
            "sketch": self.to_json(),
        }

    def to_json(self) -> dict[str, typing.Any]:
        """Returns all of a sketch that has values; `from_json` makes the same sketch of it again.

        `total` and `squares` count in 2^-24 and 2^-48; `buckets` is "number:count number:count …".
        """
        buckets = " ".join(f"{number}:{count}" for number, count in sorted(self.buckets.items()))
        fields = ("count", "total", "squares", "low", "high")
        return {**{name: getattr(self, name) for name in fields}, "buckets": buckets}

    @classmethod
    def from_json(cls, value: dict[str, typing.Any]) -> "Sketch":
        """Makes the sketch that `to_json` described."""
        sketch = cls()
        for name in ("count", "total", "squares", "low", "high"):
            setattr(sketch, name, value[name])
        for pair in value["buckets"].split():
            number, _, count = pair.partition(":")
            sketch.buckets[int(number)] = int(count)
        return sketch


def sketch_groups(values: np.ndarray, groups: np.ndarray) -> dict[int, Sketch]:
    """Returns group -> sketch of its values.

    Args:
        values: [n], non-negative.
        groups: [n] whole numbers.
    """
    found: dict[int, Sketch] = {}
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        for group, sketch in _sketch_groups(values[part], groups[part]).items():
            found.setdefault(group, Sketch()).merge(sketch)
    return found


def _sketch_groups(values: np.ndarray, groups: np.ndarray) -> dict[int, Sketch]:
    """As `sketch_groups`, for 1 to _CHUNK values."""
    order = np.argsort(groups, kind="stable")
    exact = values[order].astype(np.float64)
    names, starts, places, counts = np.unique(
        groups[order], return_index=True, return_inverse=True, return_counts=True
    )
    totals, squares = _exact_sums(exact, starts)
    lows, highs = np.minimum.reduceat(exact, starts), np.maximum.reduceat(exact, starts)
    found = []
    for index, count in enumerate(counts.tolist()):
        sketch = Sketch()
        sketch.count, sketch.total, sketch.squares = count, totals[index], squares[index]
        sketch.low, sketch.high = float(lows[index]), float(highs[index])
        found.append(sketch)
    numbers = np.ceil(np.log(np.maximum(exact, _SMALLEST)) / math.log(_GAMMA)).astype(np.int64)
    numbers[exact < _SMALLEST] = _ZERO
    codes, sizes = np.unique((places << 32) + (numbers - _ZERO), return_counts=True)
    for code, size in zip(codes.tolist(), sizes.tolist(), strict=True):
        found[code >> 32].buckets[(code & 0xFFFFFFFF) + _ZERO] = size
    return dict(zip(names.tolist(), found, strict=True))


def _exact_sums(values: np.ndarray, starts: np.ndarray) -> tuple[list[int], list[int]]:
    """Returns the sums, and sums of squares, of the runs that begin at `starts`, in units."""
    units = np.rint(values * _UNIT).astype(np.int64)
    limbs = [(units >> shift) & ((1 << _LIMB) - 1) for shift in _SHIFTS]
    totals, squares = [0] * len(starts), [0] * len(starts)
    for limb, shift in zip(limbs, _SHIFTS, strict=True):
        totals = [a + (b << shift) for a, b in zip(totals, _runs(limb, starts), strict=True)]
        for other, more in zip(limbs, _SHIFTS, strict=True):
            sums = _runs(limb * other, starts)
            squares = [a + (b << shift + more) for a, b in zip(squares, sums, strict=True)]
    return totals, squares


def _runs(values: np.ndarray, starts: np.ndarray) -> list[int]:
    return np.add.reduceat(values, starts).tolist()


def deviation(count: int, total: int, squares: int) -> float:
    """Returns the standard deviation of whole numbers from their count, sum and sum of squares.

    Whole numbers of any size, so that no digits are lost where the mean is large.
    """
    return math.sqrt(count * squares - total * total) / count
