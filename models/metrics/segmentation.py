"""Segmentation metrics of pixels that take image weights, so that intervals need no second pass.

All come from counts of an image, which do not depend on other images: shards merge by joining their rows.
Pixels whose truth is void (255 unless told) count nowhere. Totals over all images come first, then the
ratio: IoU of the data set, as in VOC, Cityscapes and mmsegmentation (torchmetrics can also average the
IoU of each image, which gives small objects more weight).
"""

from collections.abc import Sequence

import numpy as np

from conveyor.models.metrics.means import mean_of_defined
from conveyor.models.void import VOID


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int, void: int = VOID) -> np.ndarray:
    """Counts the pixels of one image.

    Args:
        truth: int [height, width], classes, or void where nobody knows.
        predicted: int [height, width], classes; under void pixels anything.
        classes: Number of classes.
        void: Value of void pixels.

    Returns:
        int64 [classes, classes]: pixels by true class (rows) and predicted class (columns).

    Raises:
        ValueError: Shapes differ, or a value is no class.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"expected masks of one size. Received: {truth.shape} and {predicted.shape}")
    known = truth != void
    rows, columns = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    for name, values in (("truth", rows), ("predicted", columns)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            odd = sorted(set(np.unique(values)) - set(range(classes)))[:5]
            raise ValueError(f"expected {name} of classes 0 to {classes - 1}. Received: {[*map(int, odd)]}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)


def region_metrics(
    confusions: np.ndarray, weights: np.ndarray, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Returns metric name -> float64 [b] under each weighting of the images.

    Args:
        confusions: int [n, classes, classes], of `confusion`.
        weights: int or float [b, n].
        names: Of the classes.

    Returns:
        `mean_iou`: mean over the classes that are in truth or prediction (of the images that have
        weight); `frequency_weighted_iou`: weighted by pixels of the truth; `pixel_accuracy`: share of
        right pixels; `mean_class_accuracy`: mean recall over the classes of the truth; `mean_dice`;
        `iou/<class>`, `dice/<class>`. NaN where there is nothing to judge.

    Source: Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", CVPR
    2015, section 5 (the first four, over all classes); Dice, "Measures of the amount of ecologic
    association between species", Ecology 26(3), 1945.
    """
    counts = np.diagonal(confusions, axis1=1, axis2=2), confusions.sum(axis=2), confusions.sum(axis=1)
    hits, truth, predicted = (weights.astype(np.float64) @ some.astype(np.float64) for some in counts)
    pixels = truth.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = hits / (truth + predicted - hits)
        dice = 2 * hits / (truth + predicted)
        found = {
            "mean_iou": mean_of_defined(iou),
            "frequency_weighted_iou": (truth * np.nan_to_num(iou)).sum(axis=1) / pixels,
            "pixel_accuracy": hits.sum(axis=1) / pixels,
            "mean_class_accuracy": mean_of_defined(hits / truth),
            "mean_dice": mean_of_defined(dice),
        }
    found |= {f"iou/{name}": iou[:, label] for label, name in enumerate(names)}
    return found | {f"dice/{name}": dice[:, label] for label, name in enumerate(names)}
