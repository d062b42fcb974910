"""Scenes: digits in colour on textured backgrounds, with the pixels of each known exactly."""

import dataclasses
import functools

import numpy as np

from conveyor.components.example_gen.readers.distortions import FRAME, INK, affine, warp

MOST = 5  # digits in a scene
_SIZES = (0.19, 0.40)  # of the ink, in shares of the scene's side
_TILT = 20.0  # degrees to either side
_VISIBLE = 0.75  # share of each digit's pixels that those in front of it must leave
_TRIES = 10  # places that are tried for a digit
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


@dataclasses.dataclass(frozen=True)
class Scene:
    """A picture and what is in it.

    Args:
        pixels: uint8 [size, size, 3].
        owner: Whose each pixel is, uint8 [size, size]: 0 for the background, k for the k-th digit.
        digits: What each is, in 0..9; those further back first.
    """

    pixels: np.ndarray
    owner: np.ndarray
    digits: list[int]


def draw_scene(rng: np.random.Generator, size: int, frames: np.ndarray, labels: np.ndarray) -> Scene:
    """Draws a scene of 1 to 5 digits, of which each lies inside and is hidden by a quarter at most.

    Args:
        rng: What all choices come from.
        size: Side, in pixels.
        frames: Digits to choose from, [n, 28, 28] in [0, 1].
        labels: What they are, [n].
    """
    canvas = _texture(rng, size)
    owner = np.zeros((size, size), np.uint8)
    digits: list[int] = []
    areas = [0]  # of each owner, in pixels, were nothing in front of it
    for _ in range(rng.integers(1, MOST, endpoint=True)):
        choice = rng.integers(len(frames))
        alpha = _ink(rng, frames[choice], size)
        inside = alpha >= 0.5
        place = _place(rng, inside, owner, areas)
        if place is None:
            continue
        _paint(rng, canvas[place], alpha)
        digits.append(int(labels[choice]))
        areas.append(int(inside.sum()))
        owner[place][inside] = len(digits)
    return Scene(np.rint(canvas).clip(0, 255).astype(np.uint8), owner, digits)


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """Returns COCO's uncompressed encoding of a mask: column by column, the runs of 0 first.

    Args:
        mask: bool [height, width].
    """
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    ends = [0, *changes.tolist(), len(pixels)]
    counts = np.diff(ends).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if pixels[0] else counts}


def tight_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Returns the edges x1, y1, x2, y2 of a mask's pixels, bool [height, width]."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Returns a background, float64 [size, size, 3], about in [0, 255]: a gradient, blotches and grain."""
    canvas = np.tile(rng.uniform(60, 195, 3), (size, size, 1))
    for cells in (2, 5, 11, 23):  # coarse to fine, each half as strong
        stretch = _stretch(cells, size)
        coarse = rng.uniform(-1, 1, (cells, cells, 3)) * (90 / cells)
        canvas += stretch @ np.tensordot(stretch, coarse, 1)  # along the columns, then along the rows
    canvas += rng.normal(0, 2, (size, size, 1))
    return canvas


@functools.cache
def _stretch(cells: int, size: int) -> np.ndarray:
    """Returns the matrix [size, cells] that interpolates linearly between cells."""
    distance = np.abs(np.linspace(0, cells - 1, size)[:, None] - np.arange(cells))
    return np.maximum(0, 1 - distance)


def _ink(rng: np.random.Generator, frame: np.ndarray, size: int) -> np.ndarray:
    """Returns a digit of random size and tilt, cut to its ink: opacity in [0, 1], [height, width]."""
    scale = rng.uniform(*_SIZES) * size / INK
    side = round(FRAME * scale)
    alpha = warp(frame, affine(rng.uniform(-_TILT, _TILT), scale, side=side))
    x1, y1, x2, y2 = map(int, tight_box(alpha >= 0.5))
    return alpha[y1:y2, x1:x2]


def _place(
    rng: np.random.Generator, inside: np.ndarray, owner: np.ndarray, areas: list[int]
) -> tuple[slice, slice] | None:
    """Returns where a digit hides none of the others too much; None where no such place was found."""
    height, width = inside.shape
    left = np.bincount(owner.ravel(), minlength=len(areas))
    for _ in range(_TRIES):
        top = int(rng.integers(owner.shape[0] - height, endpoint=True))
        start = int(rng.integers(owner.shape[1] - width, endpoint=True))
        place = slice(top, top + height), slice(start, start + width)
        hidden = np.bincount(owner[place][inside], minlength=len(areas))
        if (left - hidden >= _VISIBLE * np.array(areas)).all():
            return place
    return None


def _paint(rng: np.random.Generator, canvas: np.ndarray, alpha: np.ndarray) -> None:
    """Lays a digit over a part of the canvas, in a colour that stands out from it."""
    behind = float((canvas.mean(axis=(0, 1)) * _LUMA).sum())
    distance = rng.uniform(75, 120)
    luma = behind + (distance if behind < 127 else -distance)
    tint = rng.uniform(-40, 40, 3)
    colour = luma + tint - (tint * _LUMA).sum()
    canvas += alpha[..., None] * (colour.clip(0, 255) - canvas)
