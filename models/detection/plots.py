"""Charts of a detector: curves, average precision of classes, and what its errors cost."""

import typing

import numpy as np

from conveyor.models.detection.records import detections_of, matches_of, truth_of
from conveyor.models.metrics import bootstrap as boot
from conveyor.models.metrics.detection.curves import precision_recall
from conveyor.models.metrics.detection.errors import ERRORS, error_budget
from conveyor.models.metrics.detection.matches import Matches
from conveyor.models.metrics.detection.measures import Sampled

_CURVES = 6  # classes with a curve of their own: those with the lowest average precision
_RESAMPLES = 200  # behind a band
Plot = dict[str, typing.Any]


def plots(
    records: dict[str, np.ndarray],
    classes: list[str],
    bootstrap: int = 0,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> list[Plot]:
    """Returns charts, as the model card draws them.

    Args:
        records: See `conveyor.models.detection.records`.
        classes: Names of the classes, in label order.
        bootstrap: Resamples that may be used for bands; 0 for none.
        seed: Of the resamples.
        groups: [n], what is drawn; None for the images themselves.
    """
    matches, count = matches_of(records), min(bootstrap, _RESAMPLES)
    precisions = _precisions(matches, classes, count, seed, groups)
    if not precisions:
        return []
    lowest = sorted(precisions, key=lambda name: precisions[name]["value"] or 0.0)[:_CURVES]
    found = [_curves(matches, classes, lowest, count, seed, groups), _bars(precisions)]
    errors = _errors(records, classes)
    return [*found, errors] if errors else found


def _precisions(
    matches: Matches, classes: list[str], count: int, seed: int, groups: np.ndarray | None
) -> dict[str, dict[str, float | None]]:
    found = Sampled(matches, classes, count, seed, groups).metrics()
    named = {name: found[f"AP50/{name}"] for name in classes}
    return {name: row for name, row in named.items() if row["value"] is not None}


def _curves(
    matches: Matches,
    classes: list[str],
    shown: list[str],
    count: int,
    seed: int,
    groups: np.ndarray | None,
) -> Plot:
    weights = boot.resamples(matches.images, count, seed, groups) if count else None
    curves = precision_recall(matches, classes, weights)
    told = (
        f", for the {len(shown)} classes with the lowest average precision"
        if len(shown) < len(curves)
        else ""
    )
    return {
        "kind": "lines",
        "title": "Precision and recall",
        "caption": f"One curve a class{told}, at an IoU of 0.5: the best precision at each recall or more; 0"
        " at a recall that is never reached. A band is the 95% interval at each point by itself.",
        "x": "recall",
        "y": "precision",
        "domain": [[0, 1], [0, 1]],
        "series": [
            {"name": name, "x": curve["recall"], "y": curve["precision"], **_band(curve)}
            for name, curve in curves.items()
            if name in shown
        ],
    }


def _band(curve: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: curve[name] for name in ("low", "high") if name in curve}


def _bars(precisions: dict[str, dict[str, float | None]]) -> Plot:
    return {
        "kind": "bars",
        "title": "Average precision by class",
        "caption": "AP50: average precision at an IoU of 0.5, by COCO's rules.",
        "x": "AP50",
        "y": "class",
        "items": [{"name": name, **row} for name, row in precisions.items()],
    }


def _errors(records: dict[str, np.ndarray], classes: list[str]) -> Plot | None:
    budget = error_budget(truth_of(records), detections_of(records), len(records["scores"]), classes)
    if budget is None:
        return None
    return {
        "kind": "bars",
        "title": "What errors cost",
        "caption": "How much higher AP50 would be, were all errors of a kind mended (TIDE).",
        "x": "AP50 lost",
        "y": "error",
        "items": [
            {"name": f"{kind}: {what}", "value": budget[kind]["cost"], "low": None, "high": None}
            for kind, what in ERRORS.items()
        ],
    }
