"""Precision by recall of each class, with bands."""

from collections.abc import Iterator, Sequence

import numpy as np

from conveyor.models.metrics.detection.matches import THRESHOLDS, Matches
from conveyor.models.metrics.detection.ranking import GRID, Ranking, Weighted, at_levels


def precision_recall(
    matches: Matches,
    classes: Sequence[str],
    weights: Iterator[np.ndarray] | None = None,
    threshold: float = 0.5,
) -> dict[str, dict[str, list[float]]]:
    """Returns the curve of each class that has something to be found.

    Args:
        matches: Of n images.
        classes: Names of the classes, in the order of their indices.
        weights: Blocks of int [b, n], of `bootstrap.resamples`. No bands without.
        threshold: One of COCO's ten IoU thresholds.

    Returns:
        Class name -> `recall` (0, 0.01, … 1) and the `precision` there, and with weights `low` and
        `high`, the 95% band at each recall.

    Raises:
        ValueError: It is none of the thresholds.
    """
    near = np.flatnonzero(np.isclose(THRESHOLDS, threshold))
    if not len(near):
        raise ValueError(f"expected one of {THRESHOLDS.round(2).tolist()}. Received: threshold={threshold}")
    column, blocks = int(near[0]), [] if weights is None else list(weights)
    found = {}
    for label, ranking in zip(classes, Ranking.all(matches, len(classes)), strict=True):
        if not ranking.counted[:, 0].any():
            continue
        once = _curve(ranking, np.ones((1, matches.images), np.int64), column)
        found[label] = {"recall": GRID.tolist(), "precision": once[0].tolist()}
        if blocks:
            drawn = np.concatenate(
                [_curve(ranking, part, column) for block in blocks for part in ranking.blocks(block)]
            )
            low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
            found[label] |= {"low": low.tolist(), "high": high.tolist()}
    return found


def _curve(ranking: Ranking, weights: np.ndarray, column: int) -> np.ndarray:
    """Returns float64 [b, 101]: the best precision at each recall or more; 0 where it is not reached."""
    weighted = Weighted(ranking, weights)
    hits = weighted.area(0)[column]
    reached = at_levels(weighted.levels(0), hits.found).T
    curves = np.zeros((len(weights), len(GRID)))
    for row, passed in enumerate(reached):
        first = np.searchsorted(passed, np.arange(len(GRID)), side="right")
        there = first < len(passed)
        curves[row, there] = hits.precision[first[there], row]
    return curves
