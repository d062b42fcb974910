"""How well a segmentation follows the outlines of the truth."""

from collections.abc import Sequence

import numpy as np
import scipy.ndimage

from conveyor.models.metrics.means import mean_of_defined
from conveyor.models.void import VOID

_SHARE = 0.0075  # of the diagonal: how far apart outlines may be


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
    unknown = truth == void
    masks = [((truth == label) & ~unknown, (predicted == label) & ~unknown) for label in range(classes)]
    return np.array([_f1(true, told, unknown, reach) for true, told in masks], np.float64)


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


def _f1(true: np.ndarray, told: np.ndarray, unknown: np.ndarray, reach: float) -> float:
    """Returns the F1 of the outlines of one class's two masks."""
    if not (true.any() and told.any()):
        return 0.0 if true.any() or told.any() else float("nan")
    wanted, drawn = _outline(true, unknown), _outline(told, unknown)
    if not (wanted.any() and drawn.any()):
        return 0.0 if wanted.any() or drawn.any() else float("nan")
    # distances are only asked for on outlines: no need to know them elsewhere
    box = scipy.ndimage.find_objects((wanted | drawn).astype(np.uint8))[0]
    wanted, drawn = wanted[box], drawn[box]
    precision = (scipy.ndimage.distance_transform_edt(~wanted)[drawn] <= reach).mean()
    recall = (scipy.ndimage.distance_transform_edt(~drawn)[wanted] <= reach).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _outline(mask: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    return mask & ~scipy.ndimage.binary_erosion(mask | unknown, border_value=1)
