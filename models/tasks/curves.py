"""Precision-recall and ROC curves of classes with their bands, as plots."""

import typing
from collections.abc import Iterator, Sequence

import numpy as np

from conveyor.models.metrics import bootstrap as boot
from conveyor.models.metrics.classification import Ranking
from conveyor.models.metrics.curves import Curve, precision_recall_band, roc_band

_CURVES = 6  # classes with a curve of their own: those with the lowest average precision
_RESAMPLES = 200  # behind a band: its ends are told from a variance, which needs no more
_POINTS = 60
Plot = dict[str, typing.Any]


def plots(
    scores: np.ndarray,
    positive: np.ndarray,
    names: Sequence[str],
    bootstrap: int = 0,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> list[Plot]:
    """Returns a plot of precision-recall curves and one of ROC curves.

    Args:
        scores: float [n, classes].
        positive: bool [n, classes].
        names: Of the classes.
        bootstrap: Resamples that may be used for bands; 0 for none.
        seed: Of the resamples.
        groups: [n], what is drawn; None for the examples themselves.
    """
    labels = _hardest(scores, positive)
    count = min(bootstrap, _RESAMPLES)

    def draw() -> Iterator[np.ndarray]:  # anew for each curve: kept, they would fill the memory
        return boot.resamples(len(scores), count, seed, groups)

    told = (
        f"One curve a class, for the {len(labels)} classes with the lowest average precision."
        if len(labels) < len(names)
        else "One curve a class."
    )
    if count:
        told += " A band is the 95% interval at each point by itself."
    triples = [(names[label], scores[:, label], positive[:, label]) for label in labels]
    return [
        _plot(
            "Precision and recall",
            f"{told} The area under a curve is the average precision.",
            {name: precision_recall_band(own, yes, draw(), _POINTS) for name, own, yes in triples},
        ),
        _plot(
            "ROC",
            f"{told} The area under a curve is how often an example of the class has a higher score than"
            " another; of a rare class it is high even where most of what is found is wrong.",
            {name: roc_band(own, yes, draw(), _POINTS) for name, own, yes in triples},
        ),
    ]


def _hardest(scores: np.ndarray, positive: np.ndarray) -> list[int]:
    """Returns the classes with the lowest average precision, in the order of labels."""
    ones = np.ones((1, len(scores)), np.int32)
    defined = np.flatnonzero(positive.any(axis=0)).tolist()
    values = {label: Ranking.of(scores[:, label], positive[:, label]).areas(ones)[0, 0] for label in defined}
    return sorted(sorted(defined, key=lambda label: values[label])[:_CURVES])


def _plot(title: str, caption: str, curves: dict[str, Curve]) -> Plot:
    x, y = list(next(iter(curves.values()), {"recall": [], "precision": []}))[:2]
    return {
        "kind": "lines",
        "title": title,
        "caption": caption,
        "x": x.replace("_", " "),
        "y": y.replace("_", " "),
        "domain": [[0, 1], [0, 1]],
        "series": [
            {"name": name, "x": curve[x], "y": curve[y], "low": curve["low"], "high": curve["high"]}
            for name, curve in curves.items()
        ],
    }
