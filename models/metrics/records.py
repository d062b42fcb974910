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
    shape = common_shape(columns)
    return np.concatenate([filled(column, shape) for column in columns])


def common_shape(columns: Sequence[np.ndarray]) -> tuple[int, ...]:
    """Returns the smallest shape that holds a row of each of the columns, [n, ...] each."""
    return tuple(max(sides) for sides in zip(*(column.shape[1:] for column in columns), strict=True))


def filled(column: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns a column with rows of a shape, filled up at the end with -1 or False."""
    if column.shape[1:] == shape:
        return column
    missing = [(0, side - own) for side, own in zip(shape, column.shape[1:], strict=True)]
    value = False if column.dtype == bool else -1
    return np.pad(column, [(0, 0), *missing], constant_values=value)
