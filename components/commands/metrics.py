"""Measures predictions in files of any tool: what `conveyor metrics` does."""

import functools
import typing

import numpy as np

from conveyor.components.metrics_files.boxes import BoxFiles
from conveyor.models.metrics.detection.matching import match
from conveyor.models.metrics.detection.measures import (
    WHY_THEY_DIFFER,
    Metrics,
    Sampled,
    Values,
    differences,
)
from conveyor.models.metrics.weighted import resampled
from conveyor.pipeline.errors import UserError

if typing.TYPE_CHECKING:
    from conveyor.components.metrics_files.masks import MaskFiles

Report = dict[str, typing.Any]


def measure_files(
    form: str,
    truth: str,
    predicted: str,
    other: str | None = None,
    resamples: int = 0,
    seed: int = 0,
    masks: bool = False,
    subset: str | None = None,
) -> Report:
    """Measures predictions, and compares them with others of the same images.

    Args:
        form: "coco", "voc" or "masks".
        truth: File or folder of the truth.
        predicted: File or folder of the predictions.
        other: Those of another model.
        resamples: For intervals; 0 for none.
        seed: Of the resamples.
        masks: With COCO's files, whether to go by outlines.
        subset: With VOC's files, which list of images.

    Returns:
        `images`, `metrics` (name -> {value, low, high}) and `notes`; of detections also `objects`,
        `detections` and `errors`; with `other` also `other` (its metrics) and `difference` (name ->
        {value, low, high, probability}: by how much it is better, and how likely).

    Raises:
        UserError: Something in the files cannot be counted, or an option is not for this form.
    """
    for option, used, of in (("--segm", masks, "coco"), ("--set", subset, "voc")):
        if used and form != of:
            raise UserError(f"{option} is for {of!r}", received=form)
    predictions = [predicted, *([other] if other else [])]
    if form == "masks":
        from conveyor.components.metrics_files.masks import read_masks

        found = _of_masks(read_masks(truth, predictions), resamples, seed)
    elif form == "voc":
        from conveyor.components.metrics_files.voc import read_voc

        found = _of_boxes(read_voc(truth, predictions, subset), resamples, seed)
    else:
        from conveyor.components.metrics_files.coco import read_coco

        found = _of_boxes(read_coco(truth, predictions, masks), resamples, seed)
    files = {"format": form, "truth": truth, "predicted": predicted}
    return files | ({"compared": other} if other else {}) | {"resamples": resamples} | found


def _of_boxes(files: BoxFiles, resamples: int, seed: int) -> Report:
    from conveyor.models.metrics.detection.errors import error_budget

    matched = [
        match(files.truth, detections, files.images, files.overlap(number))
        for number, detections in enumerate(files.detections)
    ]
    outlines = (files.masks[0], files.masks[1][0]) if files.masks else None
    sampled = [Sampled(some, files.classes, resamples, seed) for some in matched]
    report: Report = {
        "images": files.images,
        "objects": len(files.truth.image),
        "detections": len(files.detections[0].image),
        "metrics": sampled[0].metrics(),
        "errors": error_budget(files.truth, files.detections[0], files.images, files.classes, outlines),
        "notes": [WHY_THEY_DIFFER, *files.notes(0)],
    }
    if len(sampled) > 1:
        report |= {"other": sampled[1].metrics(), "difference": sampled[0].compare(sampled[1])}
        report["notes"] += [f"of the other: {n}" for n in files.notes(1) if n not in report["notes"]]
    return report


def _of_masks(files: "list[MaskFiles]", resamples: int, seed: int) -> Report:
    images = len(files[0].confusions)
    points = [_measure(some, np.ones((1, images))) for some in files]
    drawn: list[Values] = []
    if resamples and images > 1:
        drawn = [resampled(functools.partial(_measure, some), images, resamples, seed) for some in files]
    metrics = [_intervals(files[0], *pair) for pair in zip(points, drawn or [{}] * len(files), strict=True)]
    report: Report = {
        "images": images,
        "metrics": metrics[0],
        "notes": [
            "255 is void and counts nowhere; IoU is of the pixels of all images together",
            *(["an interval needs two images or more"] if images < 2 else []),
        ],
    }
    if len(files) > 1:
        both = (drawn[0], drawn[1]) if drawn else None
        report |= {"other": metrics[1], "difference": differences(points[0], points[1], both)}
    return report


def _measure(files: "MaskFiles", weights: np.ndarray) -> Values:
    from conveyor.models.metrics.boundaries import boundary_metrics
    from conveyor.models.metrics.segmentation import region_metrics

    found = region_metrics(files.confusions, weights, files.classes)
    return found | boundary_metrics(files.boundaries, weights, files.classes)


def _intervals(files: "MaskFiles", point: Values, drawn: Values) -> Metrics:
    from conveyor.models.metrics.proportions import score_interval

    support = dict(zip(files.classes, files.present.sum(axis=0).tolist(), strict=True))
    found: Metrics = {}
    for name, value in point.items():
        low, high = (None, None)
        if drawn:
            rests = support.get(name.partition("/")[2], len(files.present))
            low, high = score_interval(value[0], drawn[name], rests)
        found[name] = {"value": float(value[0]) if np.isfinite(value[0]) else None, "low": low, "high": high}
    return found
