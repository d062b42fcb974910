"""Sorts out candidate pairs by their thumbnails, so that few images need be decoded to confirm the rest.

The spectra of both windows, aligned, are compared in 8 rings of frequency. Each ring may have its own
gain, as resizing blurs and brightening scales; what is left is the ring's energy E times (1 - r^2), r
the correlation in it. Copying leaves `noise^2` per frequency (of JPEG in pixels of the image, so less in
a thumbnail of a larger one) and a share of E (resampling) that grows with frequency. The distance of a
pair is the quotient of what is left and what copying leaves, averaged over frequencies.
"""

import functools

import numpy as np

from conveyor.components.leaks.fingerprint import HEADER, SIDE, radii, sizes, spectra

LIMIT = 2.0  # twice what copying leaves: generous, as pixels decide
FLAT = 0.5  # contrast in grey levels below which a thumbnail says nothing
_ORDER = 16
_RINGS = np.array([0, 1.5, 3, 4.5, 6, 8, 10, 12.5, 15.5])
_SHARES = np.array([0.003, 0.004, 0.006, 0.01, 0.015, 0.02, 0.035, 0.06])
_NOISE = 1.0  # grey levels
_GAIN = 1.6  # by which the contrast of copies may differ
_CHUNK = 8192  # pairs


def is_flat(fingerprints: np.ndarray) -> np.ndarray:
    """Returns which thumbnails are constant but for noise: [n] bool."""
    flat = np.empty(len(fingerprints), bool)
    for start in range(0, len(flat), _CHUNK):
        flat[start : start + _CHUNK] = fingerprints[start : start + _CHUNK, HEADER:].std(1) < FLAT
    return flat


def distances(fingerprints: np.ndarray, pairs: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Returns how much less alike than copies the thumbnails of each pair are.

    Args:
        fingerprints: [n, SIZE] uint8.
        pairs: [m, 2]: an image, and one whose window is moved by `shift`.
        shift: Down and to the right, in pixels.

    Returns:
        [m] float64; about 1 at most for copies.
    """
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        one, other = (
            _of_rows(fingerprints, part[:, side], moved) for side, moved in ((0, (0, 0)), (1, shift))
        )
        pixels = np.sqrt(sizes(fingerprints[part.ravel()]).prod(1)).reshape(-1, 2)
        found[start : start + _CHUNK] = _distance(one, other, np.minimum(1, SIDE / pixels.min(1)))
    return found


def _of_rows(fingerprints: np.ndarray, rows: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    used, places = np.unique(rows, return_inverse=True)
    return spectra(fingerprints[used], _ORDER, shift)[places]


def _distance(one: np.ndarray, other: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Args: spectra [m, 255] of both, and the part of an image's noise that its thumbnail keeps: [m]."""
    rings = _rings()
    counts = rings.sum(0)
    mine, theirs, both = (one * one) @ rings, (other * other) @ rings, (one * other) @ rings
    energy = np.sqrt(mine * theirs)
    left = np.minimum(mine, theirs) - np.maximum(both, 0) ** 2 / np.maximum(np.maximum(mine, theirs), 1e-9)
    gain = np.sqrt(np.maximum(mine.sum(1), 1e-9) / np.maximum(theirs.sum(1), 1e-9))
    floor = counts * (_NOISE * scale[:, None]) ** 2
    distance = (np.maximum(left, 0) / (floor + _SHARES * energy)) @ counts / counts.sum()
    return np.where(np.abs(np.log(gain)) > np.log(_GAIN), np.inf, distance)


@functools.cache
def _rings() -> np.ndarray:
    """Returns which ring each frequency is in: [255, 8]; the highest are in none."""
    radius = radii(_ORDER)[:, None]
    return ((radius >= _RINGS[:-1]) & (radius < _RINGS[1:])).astype(np.float32)
