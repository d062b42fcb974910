"""Classification metrics that take example weights, so that intervals need no second pass."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from conveyor.models.metrics.means import mean_of_defined

_BINS = 15
_AREAS = ("average_precision", "roc_auc")
_PART = 1 << 19  # ranked weights looked at at a time: they stay near the processor


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Examples ranked by their score for one class, or by any score of a yes or no, such as an anomaly.

    The measures of any weighting are cheap.

    Args:
        order: int [m], examples by falling score.
        positives: int [p], ranks of the positives.
        starts: int [p], for each positive, the first rank with its score.
        ends: int [p], the last one.
    """

    order: np.ndarray
    positives: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @staticmethod
    def of(scores: np.ndarray, positive: np.ndarray) -> "Ranking":
        """Ranks examples.

        Args:
            scores: float [n]; or [n, classes], to rank all pairs of example and class (micro average).
            positive: bool, the same shape.

        Raises:
            ValueError: A score is NaN.
        """
        if np.isnan(scores).any():
            raise ValueError(f"expected scores that are numbers. Received: {np.isnan(scores).sum()} NaN")
        flat = scores.ravel()
        order = np.argsort(-flat, kind="stable")
        falling = -flat[order]
        positives = np.flatnonzero(positive.ravel()[order])
        # ties are one threshold: an example counts with all that have its score
        starts = np.searchsorted(falling, falling[positives], side="left")
        ends = np.searchsorted(falling, falling[positives], side="right") - 1
        order //= math.prod(scores.shape[1:])
        small = np.int32 if len(flat) < 1 << 31 else np.int64  # half of the memory
        return Ranking(*(places.astype(small) for places in (order, positives, starts, ends)))

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """Returns the average precision under each weighting; NaN where no positive has weight.

        Args:
            weights: int or float [b, n].

        Returns:
            float [b]: sum over thresholds of (recall gained) x precision, as scikit-learn's.

        Source: Manning, Raghavan, Schütze, "Introduction to Information Retrieval", 2008, 8.4,
        without interpolation.
        """
        return self.areas(weights)[0]

    def roc_auc(self, weights: np.ndarray) -> np.ndarray:
        """Returns the area under the ROC curve under each weighting; NaN without positives or negatives.

        Args:
            weights: int or float [b, n].

        Returns:
            float [b]: how often a positive has a higher score than a negative; half of the ties count.

        Source: Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006.
        """
        return self.areas(weights)[1]

    def areas(self, weights: np.ndarray) -> np.ndarray:
        """Returns float [2, b]: average precision and area under the ROC curve, for the work of one."""
        rows = max(1, _PART // max(len(self.order), 1))
        parts = range(0, max(len(weights), 1), rows)
        return np.concatenate([self._areas(weights[start : start + rows]) for start in parts], axis=1)

    def _areas(self, weights: np.ndarray) -> np.ndarray:
        ranked = np.take(weights, self.order, axis=1)
        gained = ranked[:, self.positives].astype(np.float64)
        everything, found = self._before(ranked, self.ends + 1)
        is_tied = bool((self.starts < self.ends).any())
        ahead = self._before(ranked, self.starts) if is_tied else (everything - gained, found - gained)
        positives, total = gained.sum(axis=1), ranked.sum(axis=1)
        # negatives with the positive's own score are half beaten
        missed = (everything - found + ahead[0] - ahead[1]) / 2
        beaten = (gained * ((total - positives)[:, None] - missed)).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(everything > 0, found / everything, 0.0)
            average = (gained * precision).sum(axis=1) / positives
            return np.stack([average, beaten / (positives * (total - positives))])

    def rests(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns int [m] each, the examples that average precision and ROC area rest on: the positives;
        and the positives or the others, whichever are fewer.
        """
        found = self.order[self.positives]
        others = np.delete(self.order, self.positives)
        return found, min(found, others, key=len)

    def support(self, weights: np.ndarray) -> np.ndarray:
        """Returns [b]: the weight of the positives, of weights [b, n]."""
        return weights[:, self.order[self.positives]].sum(axis=1)

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts what is reached at the threshold of each positive, its score.

        Args:
            weights: int or float [b, n].

        Returns:
            float64 [b, p] each: weight of the positive itself, of all examples with at least its score,
            and of the positives among them.
        """
        ranked = np.take(weights, self.order, axis=1)
        return ranked[:, self.positives].astype(np.float64), *self._before(ranked, self.ends + 1)

    def ahead(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns float64 [b, p] each: weight of the examples with more than each positive's score, and of
        the positives among them, of weights [b, n].
        """
        return self._before(np.take(weights, self.order, axis=1), self.starts)

    def _before(self, ranked: np.ndarray, ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = _sums_before(ranked[:, self.positives], np.searchsorted(self.positives, ranks))
        return _sums_before(ranked, ranks), found


def _sums_before(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns float64 [b, p]: sums of the first so many columns of [b, m], where `ends` do not fall."""
    is_new = np.diff(ends, prepend=0) > 0
    edges = ends[is_new]
    sums = np.zeros((len(values), len(edges) + 1))
    if len(edges):
        starts = np.append(0, edges[:-1])
        pieces = np.add.reduceat(values[:, : edges[-1]], starts, axis=1, dtype=np.float64)
        np.cumsum(pieces, axis=1, out=sums[:, 1:])
    return sums[:, np.cumsum(is_new)]


@dataclasses.dataclass(frozen=True)
class Rankings:
    """A ranking for each class, and one of all pairs of example and class.

    Args:
        names: Of the classes.
        classes: One ranking each.
        pairs: Of example and class.
    """

    names: Sequence[str]
    classes: list[Ranking]
    pairs: Ranking

    @staticmethod
    def of(scores: np.ndarray, positive: np.ndarray, names: Sequence[str]) -> "Rankings":
        """Ranks examples.

        Args:
            scores: float [n, classes].
            positive: bool [n, classes]; any number in a row may be true (multi-label).
            names: Of the classes.
        """
        columns = zip(scores.T, positive.T, strict=True)
        return Rankings(names, [Ranking.of(*column) for column in columns], Ranking.of(scores, positive))

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Returns `average_precision_<macro, weighted or micro>`, `average_precision/<class>`; the same of
        `roc_auc`, each class against the rest.

        Macro is the mean over the classes that are defined (scikit-learn takes 0 for those without
        positives), weighted the same by number of positives, micro of all pairs as one ranking.

        Args:
            weights: int or float [b, n], of the examples.

        Returns:
            float [b] each, in [0, 1]; NaN where undefined.
        """
        areas = np.stack([ranking.areas(weights) for ranking in self.classes], axis=-1)
        support = np.stack([ranking.support(weights) for ranking in self.classes], axis=-1)
        found: dict[str, np.ndarray] = {}
        for metric, values, micro in zip(_AREAS, areas, self.pairs.areas(weights), strict=True):
            found[f"{metric}_macro"] = mean_of_defined(values)
            found[f"{metric}_weighted"] = mean_of_defined(values, support)
            found[f"{metric}_micro"] = micro
            found |= {f"{metric}/{name}": values[:, label] for label, name in enumerate(self.names)}
        return found

    def rests(self, examples: int) -> dict[str, np.ndarray]:
        """Returns metric name -> int [m], the examples that it rests on (`Ranking.rests`); means on all."""
        everything = np.arange(examples)
        found = {f"{area}_{mean}": everything for area in _AREAS for mean in ("macro", "weighted", "micro")}
        for name, ranking in zip(self.names, self.classes, strict=True):
            found |= {f"{area}/{name}": rows for area, rows in zip(_AREAS, ranking.rests(), strict=True)}
        return found


def classes_ahead(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns int [n]: how many classes come before the true one; it is in the top k if less than k do.

    Of equal scores the first class comes first, as in argmax, so that top 1 is accuracy.

    Args:
        scores: float [n, classes].
        labels: int [n].
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > own) | ((scores == own) & earlier)).sum(axis=1)


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int, weights: np.ndarray) -> np.ndarray:
    """Returns float [b]: the share of examples whose class is among the k with the highest scores.

    Args:
        scores: float [n, classes].
        labels: int [n].
        k: At least 1.
        weights: int or float [b, n].
    """
    return weights @ (classes_ahead(scores, labels) < k) / weights.sum(axis=1)


def multilabel_accuracy(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray, threshold: float = 0.5
) -> dict[str, np.ndarray]:
    """Returns accuracies where an example can be of any number of classes.

    Args:
        scores: float [n, classes].
        positive: bool or int [n, classes], 1 for the classes of the example.
        weights: int or float [b, n].
        threshold: A class is predicted if its score is higher.

    Returns:
        `subset_accuracy`: the share of examples with all classes right; `label_accuracy`: the share of
        right answers over examples and classes (1 - Hamming loss). Each float [b].
    """
    right = (scores > threshold) == (positive == 1)
    shares = {"subset_accuracy": right.all(axis=1), "label_accuracy": right.mean(axis=1)}
    return {name: weights @ share / weights.sum(axis=1) for name, share in shares.items()}


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
    surplus = (probabilities.argmax(axis=1) == labels) - probabilities.max(axis=1)
    bins = calibration_bins(probabilities)
    members = (np.flatnonzero(bins == number) for number in np.unique(bins))
    gaps = sum(np.abs(weights[:, rows] @ surplus[rows]) for rows in members)
    return np.asarray(gaps) / weights.sum(axis=1)


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
