"""How well a segmentation follows the outlines of the truth."""

from collections.abc import Sequence

import numpy as np

from conveyor.models.metrics.means import mean_of_defined
from conveyor.models.void import VOID

_SHARE = 0.0075  # of the diagonal: how far apart outlines may be
_NONE = -1  # class of no pixel


def boundary_f1(
    truth: np.ndarray, predicted: np.ndarray, classes: int, tolerance: float | None = None, void: int = VOID
) -> np.ndarray:
    """Compares the outlines of each class in one image.

    The outline of a class is its pixels beside (left, right, above, below) one of another class; neither
    the image's edge nor void makes one. Precision is the share of the predicted outline that is at most
    `tolerance` from the true one, recall the other way round.

    Args:
        truth: int [height, width], classes, or void where nobody knows.
        predicted: int [height, width], classes.
        classes: Number of classes.
        tolerance: In pixels, at least 0; 0.75% of the image's diagonal unless told, which below a
            diagonal of 134 pixels asks for the very pixel.
        void: Value of void pixels.

    Returns:
        float64 [classes], F1 in [0, 1]; 0 if only one of the two has the class, or an outline of it; NaN
        if neither has an outline, and both have the class or neither.

    Raises:
        ValueError: Shapes differ.

    Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"expected masks of one size. Received: {truth.shape} and {predicted.shape}")
    reach = _SHARE * float(np.hypot(*truth.shape)) if tolerance is None else tolerance
    known = truth != void
    true, told = (np.where(known, mask.astype(np.int32), _NONE) for mask in (truth, predicted))
    wanted, drawn = _outlines(true), _outlines(told)
    precision, recall = _share_near(drawn, wanted, reach, classes), _share_near(wanted, drawn, reach, classes)
    scores = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    is_one_sided = (_counts(true, classes) > 0) != (_counts(told, classes) > 0)
    has_outline = _counts(wanted, classes) + _counts(drawn, classes) > 0
    return np.where(has_outline | is_one_sided, scores, np.nan)


def boundary_metrics(scores: np.ndarray, weights: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns metric name -> float64 [b] under each weighting of the images.

    Args:
        scores: float [n, classes], of `boundary_f1`.
        weights: int or float [b, n].
        names: Of the classes.

    Returns:
        `boundary_f1`: mean over images of each one's mean over classes; `boundary_f1/<class>`: mean over
        images. NaN scores are left out.
    """
    columns = {"boundary_f1": mean_of_defined(scores)}
    columns |= {f"boundary_f1/{name}": scores[:, label] for label, name in enumerate(names)}
    return {name: mean_of_defined(column, weights) for name, column in columns.items()}


def _counts(sheet: np.ndarray, classes: int) -> np.ndarray:
    """Returns int [classes], pixels of each."""
    return np.bincount(sheet[sheet != _NONE], minlength=classes)[:classes]


def _outlines(mask: np.ndarray) -> np.ndarray:
    """Returns the mask where pixels are beside another class, nothing elsewhere."""
    is_edge = np.zeros(mask.shape, bool)
    for edge, beside in ((is_edge, mask), (is_edge.T, mask.T)):
        differs = (beside[1:] != beside[:-1]) & (beside[1:] != _NONE) & (beside[:-1] != _NONE)
        edge[1:] |= differs
        edge[:-1] |= differs
    return np.where(is_edge, mask, _NONE)


def _share_near(outlines: np.ndarray, others: np.ndarray, reach: float, classes: int) -> np.ndarray:
    """Returns float64 [classes], the share of each outline that is at most `reach` from that class's other.

    Outlines are few pixels of an image: each looks around itself, near places first, until it finds one.
    """
    far = int(reach)
    around = np.arange(-far, far + 1)
    distance = np.hypot(around[:, np.newaxis], around)
    field = np.pad(others, far, constant_values=_NONE)
    steps = (around[:, np.newaxis] * field.shape[1] + around)[distance <= reach]
    steps = steps[np.argsort(distance[distance <= reach], kind="stable")]
    places = np.nonzero(outlines != _NONE)
    at, wanted = np.ravel_multi_index([place + far for place in places], field.shape), outlines[places]
    field = field.ravel()
    for step in steps:
        missed = field[at + step] != wanted
        at, wanted = at[missed], wanted[missed]
    total = _counts(outlines, classes)
    return (total - np.bincount(wanted, minlength=classes)[:classes]) / np.maximum(total, 1)
