"""Decides whether two images alike are copies of one another: is what differs no more than copying does?

The spectra of both windows, aligned, are compared in 8 rings of frequency. Each ring may have its own
gain, as resizing blurs and brightening scales; what is left is the ring's energy E times (1 - r^2), r
the correlation in it. Copying leaves `noise^2` per frequency (JPEG of quality 75 in pixels of the image,
so less in a thumbnail of a larger one) and a share of E (resampling) that grows with frequency. The
doubt of a pair is the quotient of what is left and what copying leaves, averaged over frequencies: below
1 copying explains it. A plain correlation does not do: smooth images that are distinct correlate at
0.998, and copies of faint ones at 0.9.

An image is compared only if it says something above the noise: `LEAST_BITS` in sum over frequencies of
log2(1 + E / noise^2), the capacity of that many channels (Shannon, 1949). Faint images are compared
once more at the noise of rounding, which finds copies that were not compressed again.

Known limits: where images have little structure, copies and distinct pairs overlap. Some handwritten
ones, plain bars, differ less than copies do; so do some faint patches of microscopy, and of these not
every copy is found. Clipping of bright images at 255 counts as a difference.

Source: the shares, levels, `LIMIT` and `LEAST_BITS` were set on 28-pixel digits and on 32, 64 and
96-pixel patches of blood smears and fluorescence microscopy, so that copies of the digits are found.
"""

import functools

import numpy as np

from conveyor.components.leaks.fingerprint import SIDE, brightness, radii, sizes, spectra

LIMIT = 1.0
LEAST_BITS = 500.0
FLAT = 0.75  # contrast in grey levels below which there is nothing to compare
ORDER = 16
_RINGS = np.array([0, 1.5, 3, 4.5, 6, 8, 10, 12.5, 15.5])
_SHARES = np.array([0.003, 0.004, 0.006, 0.01, 0.015, 0.02, 0.035, 0.06])
_NOISES = (1.0, 0.4)  # grey levels: JPEG of quality 75; rounding after resampling
_GAIN = 1.3  # by which the contrast of copies may differ
_CHUNK = 16384


def is_flat(fingerprints: np.ndarray) -> np.ndarray:
    """Returns which images are constant but for noise: [n] bool."""
    flat = np.empty(len(fingerprints), bool)
    for start in range(0, len(flat), _CHUNK):
        part = spectra(fingerprints[start : start + _CHUNK], ORDER)
        flat[start : start + _CHUNK] = np.sqrt((part * part).sum(1)) < FLAT * ORDER
    return flat


def flat_pairs(fingerprints: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Links flat images next to each other in brightness, if it differs by at most 12% or 2 levels.

    Args:
        fingerprints: [n, SIZE] uint8.
        rows: [k] which of them are flat.

    Returns:
        [m, 2] of `rows`; m < k.
    """
    levels = brightness(fingerprints[rows])
    order = np.argsort(levels, kind="stable")
    rows, levels = rows[order], levels[order]
    near = levels[1:] <= np.maximum(levels[:-1] * 1.12, levels[:-1] + 2)
    return np.stack([rows[:-1][near], rows[1:][near]], axis=1)


def doubts(fingerprints: np.ndarray, pairs: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """Returns how much less alike than copies the images of each pair are.

    Args:
        fingerprints: [n, SIZE] uint8.
        pairs: [m, 2]: an image, and one whose window is moved by `shift`.
        shift: Down and to the right, in pixels.

    Returns:
        [m] float64: at most `LIMIT` for copies; infinite where contrasts differ or say too little.
    """
    used, places = np.unique(pairs[:, 0], return_inverse=True)
    fixed = spectra(fingerprints[used], ORDER)
    moved_used, moved_places = np.unique(pairs[:, 1], return_inverse=True)
    moved = spectra(fingerprints[moved_used], ORDER, shift)
    scale = _scale(fingerprints, pairs)
    found = np.full(len(pairs), np.inf)
    for start in range(0, len(pairs), _CHUNK):
        part = slice(start, start + _CHUNK)
        found[part] = _doubt(fixed[places[part]], moved[moved_places[part]], scale[part])
    return found


def score(doubt: np.ndarray) -> np.ndarray:
    """Returns 1 for identical images, 0.5 where the doubt is 1, 0 for what cannot be compared."""
    return 1 / (1 + doubt)


def _scale(fingerprints: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Returns the part of an image's noise that its thumbnail keeps: [m]."""
    pixels = np.sqrt(sizes(fingerprints).prod(1))
    return np.minimum(1, SIDE / pixels[pairs].min(1))


def _doubt(one: np.ndarray, other: np.ndarray, scale: np.ndarray) -> np.ndarray:
    rings = _rings()
    counts = rings.sum(0)
    mine, theirs, both = (one * one) @ rings, (other * other) @ rings, (one * other) @ rings
    energy = np.sqrt(mine * theirs)
    left = np.minimum(mine, theirs) - np.maximum(both, 0) ** 2 / np.maximum(np.maximum(mine, theirs), 1e-9)
    gain = np.sqrt(np.maximum(mine.sum(1), 1e-9) / np.maximum(theirs.sum(1), 1e-9))
    apart = np.abs(np.log(gain)) > np.log(_GAIN)
    found = np.full(len(one), np.inf)
    for noise in _NOISES:
        floor = counts * (noise * scale[:, None]) ** 2
        doubt = (np.maximum(left, 0) / (floor + _SHARES * energy)) @ counts / counts.sum()
        bits = np.log2(1 + energy / floor) @ counts
        found = np.minimum(found, np.where(apart | (bits < LEAST_BITS), np.inf, doubt))
    return found


@functools.cache
def _rings() -> np.ndarray:
    """Returns which ring each frequency is in: [255, 8]; the highest are in none."""
    radius = radii(ORDER)[:, None]
    return ((radius >= _RINGS[:-1]) & (radius < _RINGS[1:])).astype(np.float32)
