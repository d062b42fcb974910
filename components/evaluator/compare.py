"""Compares two models on the same resampled examples."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np

from conveyor.models.metrics.bootstrap import interval
from conveyor.models.metrics.weighted import Sample

_ALPHA = 0.025  # one side of a 95% interval


@dataclasses.dataclass(frozen=True)
class Gain:
    """By how much a model is better than another; below 0 it is worse.

    Args:
        value: In units of the metric.
        low: Where the 95% interval begins.
        high: Where it ends.
        error: Standard error of the value.
        probability: Share of resamples in which the model is better; of ties, half.
    """

    value: float
    low: float
    high: float
    error: float
    probability: float

    def worse(self, margin: float) -> float:
        """Returns the p-value of "it is not worse by more than the margin", from the standard error."""
        distance = self.value + margin
        if self.error:
            return statistics.NormalDist().cdf(distance / self.error)
        return 0.0 if distance < 0 else 1.0


def find_gain(new: Sample, old: Sample, sign: int) -> Gain | None:
    """Returns the gain of a new model over an old one; None where the metric is undefined for either.

    Args:
        new: Of the new model.
        old: Of the old one, on the same resamples of the same examples.
        sign: 1 where more is better, -1 where less is.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 16: resamples
    of pairs, percentile interval.
    """
    gains = sign * (new.drawn - old.drawn)
    gains = gains[np.isfinite(gains)]
    low, high = interval(gains)
    if new.value is None or old.value is None or low is None or high is None:
        return None
    probability = float((gains > 0).mean() + (gains == 0).mean() / 2)
    return Gain(sign * (new.value - old.value), low, high, float(gains.std()), probability)


def find_verdict(gain: Gain, margin: float) -> str:
    """Returns "better", "not worse" (by more than the margin), "worse" or "undecided"."""
    if gain.low > 0:
        return "better"
    if margin and gain.low > -margin:
        return "not worse"
    return "worse" if gain.high < 0 else "undecided"


def holm(p_values: Sequence[float]) -> list[bool]:
    """Returns which null hypotheses are rejected, with a chance of at most 2.5% that any is wrongly.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979.
    """
    rejected = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        if math.isnan(p_values[place]) or p_values[place] > _ALPHA / (len(p_values) - rank):
            break
        rejected[place] = True
    return rejected
