"""Curves with a band: at each point the 95% interval there, not of the whole curve at once."""

from collections.abc import Callable, Iterable

import numpy as np

from conveyor.models.metrics.classification import Ranking
from conveyor.models.metrics.proportions import score_interval

_POINTS = 200
Curve = dict[str, list[float]]


def precision_recall_band(
    scores: np.ndarray, positive: np.ndarray, resamples: Iterable[np.ndarray], points: int = _POINTS
) -> Curve:
    """Returns the precision at each recall that is reached, and its interval.

    Args:
        scores: float [n].
        positive: bool [n].
        resamples: Blocks of weights [b, n], such as `bootstrap.resamples` yields; none for no band.
        points: At most so many.

    Returns:
        `recall`, rising; `precision`, at the highest threshold that reaches it; `low` and `high`, empty
        without a band. Where all answers so far are right, the band is that of a share of so many
        answers. All empty without positives.
    """
    ranking = Ranking.of(scores, positive)
    _, everything, found = (counts[0] for counts in ranking.counts(np.ones((1, len(scores)), np.int32)))
    reached, first = np.unique(found, return_index=True)
    keep = _thin(len(reached), points)
    recall, answers = reached[keep] / max(len(found), 1), everything[first][keep]

    def at_recall(weights: np.ndarray) -> np.ndarray:
        return _precision_at(ranking, recall, weights)

    return {"recall": recall.tolist(), **_band("precision", at_recall, len(scores), resamples, answers)}


def roc_band(
    scores: np.ndarray, positive: np.ndarray, resamples: Iterable[np.ndarray], points: int = _POINTS
) -> Curve:
    """Returns the true positive rate at false positive rates, and its interval.

    Args:
        scores: float [n].
        positive: bool [n].
        resamples: Blocks of weights [b, n]; none for no band.
        points: At most so many.

    Returns:
        `false_positive_rate`, rising from 0 to 1; `true_positive_rate`, the highest there; `low` and
        `high`, empty without a band. All empty without positives or without negatives.

    Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006, section 8.1
    (vertical averaging).
    """
    if positive.all() or not positive.any():
        return {"false_positive_rate": [], "true_positive_rate": [], "low": [], "high": []}
    ranking = Ranking.of(scores, positive)
    rates = np.unique(_corners(ranking, np.ones((1, len(scores)), np.int32))[0])
    rates = rates[_thin(len(rates), points)]

    def at_rate(weights: np.ndarray) -> np.ndarray:
        false, true = _corners(ranking, weights)
        found = np.full((len(weights), len(rates)), np.nan)
        for row in np.flatnonzero(np.isfinite(false + true).all(axis=1)):
            found[row] = np.interp(rates, false[row], true[row])
        return found

    trials = np.full(len(rates), len(ranking.positives))
    band = _band("true_positive_rate", at_rate, len(scores), resamples, trials)
    band["low"][-1:] = [1.0] * len(band["low"][-1:])  # by definition, not by luck
    return {"false_positive_rate": rates.tolist(), **band}


def _precision_at(ranking: Ranking, recall: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns float [b, r]: the precision where a recall is first reached; NaN without positives."""
    gained, everything, found = ranking.counts(weights)
    needed = gained.sum(axis=1, keepdims=True) * recall - 1e-9  # of whole numbers: rounding must not add one
    precision = np.full(needed.shape, np.nan)
    for row in np.flatnonzero(gained.any(axis=1)):
        # a positive without weight before the first that has some reaches nothing
        at = np.searchsorted(found[row], np.maximum(needed[row], 1e-9))
        precision[row] = found[row, at] / everything[row, at]
    return precision


def _corners(ranking: Ranking, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns false and true positive rates, float [b, 2p + 2], before and after each positive's score.

    NaN in rows without positives or negatives.
    """
    gained, everything, found = ranking.counts(weights)
    everything_ahead, found_ahead = ranking.ahead(weights)
    positives = gained.sum(axis=1)
    negatives = weights.sum(axis=1) - positives
    with np.errstate(invalid="ignore", divide="ignore"):
        false = np.stack([everything_ahead - found_ahead, everything - found], axis=2)
        false /= negatives[:, None, None]
        true = np.stack([found_ahead, found], axis=2) / positives[:, None, None]
    return _from_0_to_1(false), _from_0_to_1(true)


def _from_0_to_1(rates: np.ndarray) -> np.ndarray:
    """Returns float [b, 2p + 2] of [b, p, 2], with a 0 before and a 1 after."""
    flat = rates.reshape(len(rates), 2 * rates.shape[1])
    return np.pad(flat, ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1)))


def _band(
    name: str,
    measure: Callable[[np.ndarray], np.ndarray],
    examples: int,
    resamples: Iterable[np.ndarray],
    trials: np.ndarray,
) -> Curve:
    """Returns the values of all examples, and `low` and `high` of each."""
    values = measure(np.ones((1, examples), np.int32))[0]
    drawn = [measure(weights) for weights in resamples]
    curve: Curve = {name: values.tolist(), "low": [], "high": []}
    for place, column in enumerate(np.concatenate(drawn).T if drawn else ()):
        low, high = score_interval(values[place], column, int(trials[place]))
        curve["low"].append(0.0 if low is None else low)
        curve["high"].append(1.0 if high is None else high)
    return curve


def _thin(size: int, points: int) -> np.ndarray:
    """Returns indices of at most so many of a row, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, min(points, size)).astype(int))
