"""Means of what is defined."""

import numpy as np


def mean_of_defined(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Returns the mean over the last axis of what is not NaN; NaN where all is.

    Args:
        values: float [..., n].
        weights: float [..., n] or [n], alike for all unless told.
    """
    weighted = np.isfinite(values) * (1.0 if weights is None else weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.nan_to_num(values) * weighted).sum(axis=-1) / weighted.sum(axis=-1)
