"""The anchors of detectors: their shapes, and where they stand."""

import typing
from collections.abc import Sequence

import numpy as np

from conveyor.models.ops.anchors import anchor_grid, anchor_shapes, fit_shapes

_CELLS = 8  # sizes to a factor of two that are told apart

Shapes = list[list[list[float]]]


def chosen_shapes(
    anchors: str,
    levels: Sequence[int],
    scales: Sequence[float],
    aspect_ratios: Sequence[float],
    shapes: Shapes | None,
) -> Shapes:
    """Returns the given shapes, or else the regular ones.

    Args:
        anchors: "regular" or "auto".
        levels: log2 of their strides.
        scales: Square roots of areas, in strides.
        aspect_ratios: Width / height.
        shapes: Such as `fitted_shapes` found.

    Raises:
        ValueError: "auto" has no shapes.
    """
    if anchors == "auto" and shapes is None:
        raise ValueError("expected boxes to fit the anchors to, or shapes. Received: anchors='auto'")
    return shapes or regular_shapes(levels, scales, aspect_ratios)


def regular_shapes(levels: Sequence[int], scales: Sequence[float], aspect_ratios: Sequence[float]) -> Shapes:
    """Returns width and height in pixels of the anchors of each level.

    Args:
        levels: log2 of their strides.
        scales: Square roots of areas, in strides.
        aspect_ratios: Width / height.
    """
    return [anchor_shapes([scale * 2**level for scale in scales], aspect_ratios).tolist() for level in levels]


def fitted_shapes(levels: Sequence[int], per_place: int, sizes: np.ndarray) -> Shapes:
    """Returns those that overlap given boxes best, the smallest on the finest level.

    Boxes of about the same size count once, so that a few large objects among many small ones have anchors.

    Args:
        levels: log2 of their strides.
        per_place: Shapes of a level.
        sizes: [n, 2], width and height of boxes, in pixels of the model's input.

    Raises:
        ValueError: There are fewer different sizes than shapes.
    """
    count = per_place * len(levels)
    cells = 2.0 ** (np.unique(np.round(np.log2(sizes) * _CELLS), axis=0) / _CELLS)
    shapes = fit_shapes(cells if len(cells) >= count else sizes, count).round(2)
    return shapes.reshape(len(levels), per_place, 2).tolist()


def anchors_of(image_shape: tuple[int, ...], levels: Sequence[int], shapes: Shapes) -> list[np.ndarray]:
    """Returns the anchors of each level, float32 [rows * columns * k, 4], xyxy in pixels.

    Args:
        image_shape: (height, width, channels) of the model's input.
        levels: log2 of their strides.
        shapes: Width and height of each, level by level.

    Raises:
        ValueError: The images differ in size.
    """
    if None in image_shape[:2]:
        raise ValueError(
            "expected images of one size, as anchors are constants: transform.resize=letterbox makes them so."
            f" Received: image_shape={tuple(image_shape)}"
        )
    size = typing.cast(tuple[int, int], tuple(image_shape[:2]))
    return [anchor_grid(size, 2**level, np.array(own)) for level, own in zip(levels, shapes, strict=True)]
