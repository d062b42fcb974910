"""Records of several batches, joined."""

from collections.abc import Sequence

import numpy as np


def join(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the rows of all parts; where they differ in shape, filled up at the end with -1 or False.

    Args:
        parts: One or more, with the same columns; [n, ...] each, n the part's own.
    """
    return {name: _join([part[name] for part in parts]) for name in parts[0]}


def _join(columns: list[np.ndarray]) -> np.ndarray:
    shape = tuple(max(sides) for sides in zip(*(column.shape[1:] for column in columns), strict=True))
    return np.concatenate([_filled(column, shape) for column in columns])


def _filled(column: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if column.shape[1:] == shape:
        return column
    missing = [(0, side - own) for side, own in zip(shape, column.shape[1:], strict=True)]
    value = False if column.dtype == bool else -1
    return np.pad(column, [(0, 0), *missing], constant_values=value)
