"""Average precision of one class under any weighting of the images, without matching again."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from conveyor.models.metrics.detection.matches import HIT, IGNORED, THRESHOLDS, VOC_AREA, VOC_COLUMN, Matches

GRID = np.linspace(0.0, 1.0, 101)  # of COCO; some recalls are a last bit above i / 100, as in its API
_TOLERANCE = 1e-9  # of VOC's recalls i / 10
_BLOCK = 1 << 21  # weights of detections, or of what is to be found, looked at a time
_LONG = 128  # weightings from which a call for each row costs less than to go down the columns


@dataclasses.dataclass(frozen=True)
class Hits:
    """The detections that are right by one criterion, by falling score, under b weightings.

    Precision at any recall is the best of the hits from there on, so that no other detection is needed.

    Args:
        found: int32 [h, b], the weight of the hits so far.
        precision: float64 [h, b], the best from there on.
        gained: int32 [h, b], the weight that each adds.
        positives: float64 [b], the weight of what is to be found; NaN for none.
    """

    found: np.ndarray
    precision: np.ndarray
    gained: np.ndarray
    positives: np.ndarray

    def reached(self) -> np.ndarray:
        """Returns float64 [b]: the recall after all hits."""
        most = self.found[-1] if len(self.found) else np.zeros(self.found.shape[1])
        return most / np.where(self.positives > 0, self.positives, 1.0)

    def coco(self, levels: np.ndarray) -> np.ndarray:
        """Returns float64 [b]: the mean precision at COCO's 101 recalls.

        Args:
            levels: Of `Weighted.levels`.
        """
        return self._mean(at_levels(levels, self.found), len(GRID))

    def voc07(self) -> np.ndarray:
        """Returns float64 [b]: the mean precision at the recalls 0, 0.1, … 1."""
        recall = self.found / np.where(self.positives > 0, self.positives, 1.0)
        return self._mean(np.floor(recall * 10 + _TOLERANCE) + 1, 11)

    def voc(self) -> np.ndarray:
        """Returns float64 [b]: the area under precision by recall."""
        return np.einsum("hb,hb->b", self.precision, self.gained) / self.positives

    def _mean(self, reached: np.ndarray, count: int) -> np.ndarray:
        """Returns the mean over recalls of which `reached` are passed with each hit."""
        steps = np.diff(reached, axis=0, prepend=reached.dtype.type(0))
        return np.einsum("hb,hb->b", self.precision, steps) / count


def at_levels(levels: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Returns int32 [h, b]: how many of COCO's recalls are reached with what is found.

    Args:
        levels: int32 [b, most + 1], of each number found.
        found: int32 [h, b].
    """
    return np.take(levels, found + np.arange(len(levels), dtype=np.int32) * np.int32(levels.shape[1]))


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The detections of one class by falling score, and its true objects; columns as in `Matches`."""

    image: np.ndarray
    rank: np.ndarray
    outcome: np.ndarray
    truth_image: np.ndarray
    counted: np.ndarray

    @staticmethod
    def all(matches: Matches, classes: int) -> list["Ranking"]:
        """Returns the ranking of each class. Equal scores are ranked by image, as by the COCO API."""
        order = np.lexsort((-matches.score, matches.label))  # stable: rows rise by image and rank
        ends = np.searchsorted(matches.label[order], np.arange(1, classes))
        truth_order = np.argsort(matches.truth_label, kind="stable")
        truth_ends = np.searchsorted(matches.truth_label[truth_order], np.arange(1, classes))
        parts = zip(np.split(order, ends), np.split(truth_order, truth_ends), strict=True)
        return [
            Ranking(
                matches.image[rows],
                matches.rank[rows],
                np.asfortranarray(matches.outcome[rows]),  # it is read by column
                matches.truth_image[true],
                matches.counted[true],
            )
            for rows, true in parts
        ][:classes]

    def blocks(self, weights: np.ndarray) -> Iterator[np.ndarray]:
        """Yields parts of int [b, n] weightings, so few at a time that what is made of them is bounded."""
        rows = max(1, _BLOCK // max(len(self.image), len(self.truth_image), 1))
        yield from (weights[at : at + rows] for at in range(0, len(weights), rows))

    def positives(self, weights: np.ndarray, area: int) -> np.ndarray:
        """Returns float64 [b]: the weight of what is to be found; NaN for none."""
        total = weights[self.truth_image[self.counted[:, area]]].sum(axis=0, dtype=np.float64)
        return np.where(total > 0, total, np.nan)


class Weighted:
    """A ranking under b weightings.

    Arrays hold all weights of a detection in a row, since rows are copied and summed whole.

    Args:
        ranking: Of one class.
        weights: int [b, n], of each image.
    """

    def __init__(self, ranking: Ranking, weights: np.ndarray):
        self.ranking = ranking
        of_images = np.ascontiguousarray(weights.T, np.int32)
        self.drawn = np.take(of_images, ranking.image, axis=0)
        self.positives = [ranking.positives(of_images, area) for area in range(VOC_AREA + 1)]

    def area(self, area: int) -> list[Hits]:
        """Returns the hits at each of COCO's thresholds in a range of area."""
        start = area * len(THRESHOLDS)
        columns = range(start, start + len(THRESHOLDS))
        return self._hits(columns, self.positives[area])

    def levels(self, area: int) -> np.ndarray:
        """Returns int32 [b, most + 1]: how many of COCO's 101 recalls are no more than each number found."""
        positives = np.nan_to_num(self.positives[area], nan=1.0)[:, None]
        recall = np.minimum(np.arange(positives.max() + 1) / positives, 1.0)
        nearest = np.rint(recall * 100).astype(np.int32)
        return nearest + (GRID.take(nearest) <= recall)

    def voc(self) -> Hits:
        """Returns the hits by VOC's rules."""
        return self._hits(range(VOC_COLUMN, VOC_COLUMN + 1), self.positives[VOC_AREA])[0]

    def recall(self, most: int) -> np.ndarray:
        """Returns float64 [b]: recall over all thresholds with the `most` best of each image."""
        best = self.ranking.rank < most
        hits = (self.ranking.outcome[:, : len(THRESHOLDS)] == HIT).sum(axis=1) * best
        rows = np.flatnonzero(hits)
        return hits[rows] @ self.drawn[rows] / (self.positives[0] * len(THRESHOLDS))

    def _hits(self, columns: range, positives: np.ndarray) -> list[Hits]:
        """Returns the hits by each criterion.

        What is ignored hardly differs between thresholds: all weights are summed once, and the few
        that differ from the first threshold are added or taken away.
        """
        outcome = self.ranking.outcome
        before = outcome[:, columns[0]] != IGNORED
        rows = np.flatnonzero(before)
        counted = _sums(self.drawn, rows)
        made = []
        for column in columns:
            hits = np.flatnonzero(outcome[:, column] == HIT)
            seen = _upto(counted, rows, hits)
            now = outcome[:, column] != IGNORED
            for sign, others in ((1, now & ~before), (-1, before & ~now)):
                if others.any():
                    other = np.flatnonzero(others)
                    seen += sign * _upto(_sums(self.drawn, other), other, hits)
            made.append(_hits(np.take(self.drawn, hits, axis=0), seen, positives))
        return made


def _hits(weights: np.ndarray, seen: np.ndarray, positives: np.ndarray) -> Hits:
    found = _running(np.add, weights.copy())
    precision = found / np.maximum(seen, 1, out=seen)  # where none is seen, none is found
    _running(np.maximum, precision[::-1])
    return Hits(found, precision, weights, positives)


def _sums(drawn: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns int32 [rows + 1, b]: the weights of the first 0, 1, … of some detections."""
    sums = np.zeros((len(rows) + 1, drawn.shape[1]), np.int32)
    np.take(drawn, rows, axis=0, out=sums[1:], mode="clip")
    return _running(np.add, sums)


def _upto(sums: np.ndarray, rows: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Returns int32 [h, b]: the weights of the `rows` up to each hit."""
    return np.take(sums, np.searchsorted(rows, hits, side="right"), axis=0)


def _running(ufunc: np.ufunc, values: np.ndarray) -> np.ndarray:
    """Accumulates rows in place. NumPy's own goes down each column, which is slow where rows are long."""
    if values.shape[1] < _LONG:
        return ufunc.accumulate(values, axis=0, out=values)
    for above, row in itertools.pairwise(values):
        ufunc(above, row, out=row)
    return values
