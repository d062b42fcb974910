"""Classification metrics that take example weights, so that intervals need no second pass."""

import dataclasses

import numpy as np

_BINS = 15


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Examples ranked by their score for one class; average precision of any weighting is cheap.

    Args:
        order: int [n], examples by falling score.
        ends: int [p], for each positive in that order, the last rank with its score.
        positives: int [p], ranks of the positives.
    """

    order: np.ndarray
    ends: np.ndarray
    positives: np.ndarray

    @staticmethod
    def of(scores: np.ndarray, positive: np.ndarray) -> "Ranking":
        """Ranks examples.

        Args:
            scores: float [n].
            positive: bool [n].
        """
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        # ties are one threshold: an example counts with all that have its score
        last = np.searchsorted(-ranked, -ranked, side="right") - 1
        positives = np.flatnonzero(positive[order])
        return Ranking(order, last[positives], positives)

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """Returns the average precision under each weighting; NaN where no positive has weight.

        Args:
            weights: int or float [b, n].

        Returns:
            float [b]: sum over thresholds of (recall gained) x precision, as scikit-learn's.

        Source: Manning, Raghavan, Schütze, "Introduction to Information Retrieval", 2008, 8.4,
        without interpolation.
        """
        ranked = weights[:, self.order]
        everything = np.cumsum(ranked, axis=1, dtype=np.float64)[:, self.ends]
        gained = ranked[:, self.positives].astype(np.float64)
        # positives up to the end of each one's tie: those at ranks <= ends
        reached = np.searchsorted(self.positives, self.ends, side="right") - 1
        found = np.cumsum(gained, axis=1)[:, reached]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(everything > 0, found / everything, 0.0)
            return (gained * precision).sum(axis=1) / gained.sum(axis=1)


def calibration_bins(probabilities: np.ndarray) -> np.ndarray:
    """Returns int [n]: the bin of each example's highest probability, 15 equal bins of (0, 1]."""
    confidence = probabilities.max(axis=1)
    return np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the expected calibration error under each weighting.

    Args:
        probabilities: float [n, classes].
        labels: int [n].
        weights: int or float [b, n].

    Returns:
        float [b] in [0, 1].

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    member = np.eye(_BINS)[calibration_bins(probabilities)]
    gaps = weights @ (member * (correct - confidence)[:, None])
    return np.abs(gaps).sum(axis=1) / weights.sum(axis=1)


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """Returns, for each bin that holds examples, mean `confidence`, `accuracy` and `count`."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bins = calibration_bins(probabilities)
    return [
        {
            "confidence": float(confidence[bins == number].mean()),
            "accuracy": float(correct[bins == number].mean()),
            "count": int((bins == number).sum()),
        }
        for number in np.unique(bins)
    ]


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns int [classes, classes]: rows true, columns predicted."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def precision_recall(scores: np.ndarray, positive: np.ndarray, points: int = 200) -> dict[str, list[float]]:
    """Returns `recall` and `precision` at falling thresholds, thinned to at most `points`."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    found = np.cumsum(positive[order])[ends]
    keep = np.unique(np.linspace(0, len(ends) - 1, min(points, len(ends))).astype(int))
    recall, precision = found / max(positive.sum(), 1), found / (ends + 1)
    return {"recall": recall[keep].tolist(), "precision": precision[keep].tolist()}
