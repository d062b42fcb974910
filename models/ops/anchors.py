"""Anchors: the boxes that a detector starts from. NumPy, as they are constants of a model."""

from collections.abc import Sequence

import numpy as np


def anchor_shapes(scales: Sequence[float], aspect_ratios: Sequence[float]) -> np.ndarray:
    """Returns the sizes of all pairs of a scale and an aspect ratio.

    Args:
        scales: Square roots of areas, in pixels.
        aspect_ratios: Width / height.

    Returns:
        float32 [scales * aspect ratios, 2], width and height in pixels; the first scale's come first.
    """
    root = np.sqrt(np.asarray(aspect_ratios, np.float64))
    pairs = [np.stack([scale * root, scale / root], -1) for scale in scales]
    return np.concatenate(pairs).astype(np.float32)


def anchor_grid(
    image_size: tuple[int, int], stride: int, shapes: np.ndarray, offset: float = 0.5
) -> np.ndarray:
    """Returns the anchors of one level: all shapes around each point of a regular grid.

    The grid has as many rows and columns as a feature map of that stride whose convolutions pad ("same").
    A multiple of the map's stride gives a coarser grid, as that of a head which strides over the map.

    Args:
        image_size: (height, width) in pixels.
        stride: Pixels from a point to the next.
        shapes: [k, 2], width and height in pixels.
        offset: Where in its cell a point lies, in [0, 1]; 0.5 is the middle.

    Returns:
        float32 [rows * columns * k, 4], xyxy in pixels, also outside the image; row by row, the shapes of a
        point beside one another, as a head's output [rows, columns, k * 4] reshaped to [-1, 4].
    """
    rows, columns = (-(-side // stride) for side in image_size)
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    centers = ((np.stack([x, y], -1) + offset) * stride)[:, :, np.newaxis]
    half = np.asarray(shapes, np.float64) / 2.0
    return np.concatenate([centers - half, centers + half], -1).reshape(-1, 4).astype(np.float32)


def fit_shapes(sizes: np.ndarray, count: int, rounds: int = 100) -> np.ndarray:
    """Finds the shapes that overlap given boxes best: k-means, the distance being 1 - IoU.

    The same for any order of the boxes.

    Args:
        sizes: [n, 2], width and height of boxes, in pixels of the model's input; > 0.
        count: Number of shapes.
        rounds: At most so many; the best of them counts, as a mean need not raise the overlap.

    Returns:
        float32 [count, 2], width and height, by area.

    Raises:
        ValueError: There are fewer different sizes than shapes, or sizes that are not > 0.

    Source: Redmon and Farhadi, "YOLO9000", CVPR 2017, section 2 (dimension clusters).
    """
    sizes = np.asarray(sizes, np.float64).reshape(-1, 2)
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError("expected widths and heights > 0. Received: sizes with others")
    different = _by_area(np.unique(sizes, axis=0))
    if not 1 <= count <= len(different):
        raise ValueError(f"expected 1 to {len(different)}, the number of different sizes. Received: {count=}")
    sizes = _by_area(sizes)
    # a start that is spread over small and large, and the same each time
    shapes = different[((np.arange(count) + 0.5) * len(different) / count).astype(int)]
    best, best_score = shapes, -1.0
    for _ in range(rounds):
        overlaps = shape_iou(sizes, shapes)
        score = overlaps.max(1).mean()
        if score > best_score:
            best, best_score = shapes, score
        nearest = overlaps.argmax(1)
        moved = np.stack([_mean(sizes[nearest == k], shapes[k]) for k in range(count)])
        if np.array_equal(moved, shapes):
            break
        shapes = moved
    return _by_area(best).astype(np.float32)


def shape_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the IoU of boxes with a common centre, float64 [n, m].

    Args:
        a: [n, 2], width and height.
        b: [m, 2], width and height.
    """
    a, b = np.asarray(a, np.float64)[:, np.newaxis], np.asarray(b, np.float64)
    shared = np.minimum(a, b).prod(-1)
    return shared / (a.prod(-1) + b.prod(-1) - shared)


def _mean(sizes: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    return sizes.mean(0) if len(sizes) else otherwise


def _by_area(sizes: np.ndarray) -> np.ndarray:
    """Sorts by area, then by width: one order for the same sizes."""
    return sizes[np.lexsort((sizes[:, 0], sizes.prod(-1)))]
