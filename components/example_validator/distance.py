"""How far apart two samples are, and how far chance alone takes samples of one distribution.

What is compared need not be independent: the objects of an image resemble each other. So the size of
a sample is given apart from its counts; for objects it is an effective one (see `effective_size`).

A distance counts only where it is beyond what chance gives, with a risk of `RISK` for each comparison.
For samples of sizes n and m:

- shares: for a class of share p in both together, the difference of its two shares is at most
  b + sqrt(b^2 + 2 p (1 - p) (1/n + 1/m) L), where b = L / (3 min(n, m)), and L = ln(2 k / RISK) for k
  classes (Bernstein's inequality for a sum of n + m independent terms, and the union bound);
- Jensen-Shannon divergence of k bins: it is (1/n + 1/m) / (8 ln 2) times chi-squared of k - 1 degrees of
  freedom, to second order; which is at most d + 2 sqrt(d x) + 2 x, where d = k - 1, x = ln(1 / RISK).

Source: Boucheron, Lugosi, Massart, "Concentration Inequalities", 2013, theorem 2.10 (Bernstein); Laurent,
Massart, "Adaptive estimation of a quadratic functional", Annals of Statistics 28, 2000, lemma 1
(chi-squared); Lin, "Divergence Measures Based on the Shannon Entropy", 1991 (Jensen-Shannon).
"""

import dataclasses
import math
import typing
from collections.abc import Mapping

from conveyor.components.statistics_gen.sketch import Sketch

RISK = 1e-3
_MOST_BINS = 16
_LEAST_IN_BIN = 8  # of the smaller sample, on average

Counts = Mapping[typing.Any, int]


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far apart two samples are.

    Args:
        value: In [0, 1].
        chance: The most that chance gives.
        name: The class whose shares differ; "" for a divergence.
        shares: Of this class in either sample.
    """

    value: float
    chance: float
    name: str = ""
    shares: tuple[float, float] = (0.0, 0.0)

    def exceeds(self, threshold: float) -> bool:
        """Whether it is beyond the threshold and beyond chance."""
        return self.value > max(threshold, self.chance)


def infinity_norm(one: Counts, other: Counts, sizes: tuple[float, float]) -> Distance:
    """Returns the largest difference of a class's share, of those that are beyond chance if any is.

    Args:
        one: Class -> count; not all 0.
        other: The same of the other sample.
        sizes: Of the samples: numbers of independent ones.
    """
    names = sorted({name for counts in (one, other) for name in counts if counts[name]})
    totals = sum(one.values()), sum(other.values())
    scale = math.log(2 * len(names) / RISK)
    step = scale / (3 * min(sizes))
    found = []
    for name in names:
        shares = one.get(name, 0) / totals[0], other.get(name, 0) / totals[1]
        both = sum(share * size for share, size in zip(shares, sizes, strict=True)) / sum(sizes)
        variance = both * (1 - both) * sum(1 / size for size in sizes)
        chance = step + math.sqrt(step * step + 2 * max(variance, 0.0) * scale)
        found.append(Distance(abs(shares[0] - shares[1]), chance, name, shares))
    return max(found, key=lambda distance: (distance.exceeds(0), round(distance.value, 12)))


def jensen_shannon(one: Counts, other: Counts, sizes: tuple[float, float]) -> Distance:
    """Returns the Jensen-Shannon divergence, in bits.

    Args:
        one: Bin -> count; not all 0.
        other: The same of the other sample.
        sizes: Of the samples: numbers of independent ones.
    """
    totals = sum(one.values()), sum(other.values())
    bins = sorted({name for counts in (one, other) for name in counts if counts[name]})
    value = 0.0
    for name in bins:
        shares = one.get(name, 0) / totals[0], other.get(name, 0) / totals[1]
        value += sum(share / 2 * math.log2(2 * share / sum(shares)) for share in shares if share)
    freedom, tail = len(bins) - 1, math.log(1 / RISK)
    most = freedom + 2 * math.sqrt(freedom * tail) + 2 * tail
    return Distance(max(value, 0.0), most * sum(1 / size for size in sizes) / (8 * math.log(2)))


def divergence(one: Sketch, other: Sketch, sizes: tuple[float, float]) -> Distance:
    """Returns the Jensen-Shannon divergence of two samples of numbers, in bins of about equal mass.

    There are at most 16 bins, and fewer for small samples; cuts are edges of the sketches' buckets.

    Args:
        one: Of one or more values.
        other: Of one or more values.
        sizes: Of the samples: numbers of independent ones.
    """
    bins = min(_MOST_BINS, max(2, int(min(sizes) / _LEAST_IN_BIN)))
    found: tuple[dict[int, int], dict[int, int]] = ({}, {})
    mass = 0.0
    for number in sorted({*one.buckets, *other.buckets}):
        share = (one.buckets[number] / one.count + other.buckets[number] / other.count) / 2
        index = min(int((mass + share / 2) * bins), bins - 1)
        for counts, sketch in zip(found, (one, other), strict=True):
            counts[index] = counts.get(index, 0) + sketch.buckets[number]
        mass += share
    return jensen_shannon(*found, sizes)


def effective_size(per_image: Sketch) -> float:
    """Returns how many independent objects the objects of all images are worth, at the least.

    With c objects in an image it is (sum of c)^2 / (sum of c^2): as if those of an image were all alike.

    Source: Kish, "Survey Sampling", 1965, section 8.2, for complete correlation within clusters.
    """
    return per_image.total**2 / per_image.squares if per_image.squares else 0.0
