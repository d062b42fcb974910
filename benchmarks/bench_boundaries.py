"""F1 of outlines against a formulation by distance transforms, class by class, in turns, in one process.

    python benchmarks/bench_boundaries.py [PAIRS]

Prints the median ratio of times (below 1: ours is faster) for masks of blobs, after a check that both
answer the same.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.ndimage

from conveyor.models.metrics.boundaries import boundary_f1

CASES = ((96, 11), (256, 2), (480, 21), (1500, 2))  # side, classes


def main(pairs: int) -> None:
    """Prints a line for each size of masks."""
    for side, classes in CASES:
        truth, told = make_masks(side, classes)
        np.testing.assert_array_equal(boundary_f1(truth, told, classes), by_distances(truth, told, classes))
        pair = (boundary_f1, by_distances)
        spent = [[seconds(function, truth, told, classes) for function in pair] for _ in range(pairs)]
        ratio = statistics.median(ours / plain for ours, plain in spent)
        ours, plain = (1e3 * statistics.median(column) for column in zip(*spent, strict=True))
        print(f"{side} x {side}, {classes} classes: {ours:.1f} ms / {plain:.1f} ms = {ratio:.2f}", flush=True)


def seconds(function: Callable[..., np.ndarray], truth: np.ndarray, told: np.ndarray, classes: int) -> float:
    """Returns how long one comparison takes."""
    began = time.perf_counter()
    function(truth, told, classes)
    return time.perf_counter() - began


def make_masks(side: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the truth and a prediction that is nearly it."""
    generator = np.random.default_rng(0)

    def noise(blur: float) -> np.ndarray:
        sheets = generator.normal(size=(classes, side, side))
        return np.stack([scipy.ndimage.gaussian_filter(sheet, blur) * blur for sheet in sheets])

    scores = noise(side / 12)
    return scores.argmax(0).astype(np.uint8), (scores + 0.15 * noise(side / 36)).argmax(0)


def by_distances(truth: np.ndarray, told: np.ndarray, classes: int) -> np.ndarray:
    """Returns the F1 of each class by erosion and distance transforms of its box; no void."""
    reach = 0.0075 * float(np.hypot(*truth.shape))
    scores = np.full(classes, np.nan)
    for label in range(classes):
        masks = [truth == label, told == label]
        edges = [mask & ~scipy.ndimage.binary_erosion(mask, border_value=1) for mask in masks]
        if not all(edge.any() for edge in edges):
            absent = not any(edge.any() for edge in edges) and masks[0].any() == masks[1].any()
            scores[label] = np.nan if absent else 0.0
            continue
        box = scipy.ndimage.find_objects((edges[0] | edges[1]).astype(np.uint8))[0]
        wanted, drawn = (edge[box] for edge in edges)
        precision = (scipy.ndimage.distance_transform_edt(~wanted)[drawn] <= reach).mean()
        recall = (scipy.ndimage.distance_transform_edt(~drawn)[wanted] <= reach).mean()
        scores[label] = 2 * precision * recall / max(precision + recall, np.finfo(float).tiny)
    return scores


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
