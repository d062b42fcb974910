"""Finds the pairs of images worth a closer look, without comparing all with all.

The hash of an image is 128 bits: on which side of 128 random planes its low frequencies lie. It is
cut into 8 bands of 16 bits. Two hashes that differ in at most 15 bits differ in at most one bit of
some band (pigeonhole), so looking up every band and its 16 neighbours finds all of them; of what
else that turns up, pairs within `RADIUS` bits are kept.

A shifted copy is found because its window is moved back: all images are looked up once per shift.
Half of the shifts will do, as the other image of the pair is looked up too.

Buckets: lookups of a band may turn up `BUDGET` images per image on average; beyond this only the first
images of a bucket are compared, the same for all, so that what is alike is still linked through them.
The guarantee above holds where the budget is not exceeded.

Source: Charikar, "Similarity Estimation Techniques from Rounding Algorithms", STOC 2002, section 3
(planes); Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012,
section 2 (bands).
"""

import dataclasses
import typing

import numpy as np

from conveyor.components.leaks.fingerprint import spectra

BITS = 128
RADIUS = 26
BUDGET = 200
SHIFTS = ((0, 0), (0, 2), (2, 0), (2, 2), (2, -2))  # down, right; in pixels
_BANDS = BITS // 16
_ORDER = 8
_NOISE = 4.0  # in units of spectra: of JPEG in an image as small as its thumbnail
_WIDTH = _ORDER * _ORDER - 1
_SAMPLE = 20_000  # images that planes are fitted to
_PROBES = np.array([0] + [1 << bit for bit in range(16)], np.uint16)
_CHUNK = 1 << 18  # pairs looked at at a time; bounds memory
_LEAST_CAP = 4
_ONES = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)


def candidate_pairs(fingerprints: np.ndarray, radius: int = RADIUS) -> np.ndarray:
    """Returns the pairs of images whose hashes are alike at some shift.

    Args:
        fingerprints: [n, SIZE] uint8.
        radius: In how many of the 128 bits they may differ.

    Returns:
        [m, 2] int32: rows of `fingerprints`, the lower first, sorted, each pair once.
    """
    found = [pairs for _, pairs in candidates(fingerprints, radius)]
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def candidates(
    fingerprints: np.ndarray, radius: int = RADIUS
) -> typing.Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yields each shift, with pairs [m, 2]: an image, and one alike when its window is moved so."""
    planes = fit_planes(fingerprints)
    fixed = planes.hashes(fingerprints)
    for shift in SHIFTS:
        moved = fixed if shift == (0, 0) else planes.hashes(fingerprints, shift)
        pairs = near(fixed, moved, radius)
        keep = pairs[:, 0] < pairs[:, 1] if shift == (0, 0) else pairs[:, 0] != pairs[:, 1]
        yield shift, pairs[keep]


@dataclasses.dataclass(frozen=True)
class Planes:
    """The planes that cut up the space of spectra: [63, 128], and a point on all of them: [63]."""

    normals: np.ndarray
    centre: np.ndarray

    def hashes(self, fingerprints: np.ndarray, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
        """Returns the hash of each image, its window moved by `shift`: [n, 8] uint16."""
        bits = np.packbits((_directions(fingerprints, shift) - self.centre) @ self.normals > 0, axis=1)
        return bits.view("<u2").astype(np.uint16)


def fit_planes(fingerprints: np.ndarray) -> Planes:
    """Returns random planes, whitened by the covariance of the data so that buckets fill evenly.

    With fewer than 256 images, buckets do not matter, and the planes are those of white data.
    """
    normal = np.random.Generator(np.random.PCG64(20020519)).normal(size=(_WIDTH, BITS))
    if len(fingerprints) < 256:
        return Planes(normal.astype(np.float32), np.zeros(_WIDTH, np.float32))
    sample = fingerprints[:: -(-len(fingerprints) // _SAMPLE)]
    spread = _directions(sample).astype(np.float64)
    variances, axes = np.linalg.eigh(np.cov(spread.T))
    variances = np.maximum(variances, max(variances.max() * 1e-2, 1e-12))
    whitened = (axes * variances**-0.5) @ axes.T @ normal
    return Planes(whitened.astype(np.float32), spread.mean(0).astype(np.float32))


def _directions(fingerprints: np.ndarray, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Returns spectra of length 1, in which what JPEG may have made or undone counts for little."""
    spectrum = spectra(fingerprints, _ORDER, shift)
    energy = spectrum * spectrum
    spectrum *= energy / (energy + _NOISE**2)
    return spectrum / np.sqrt((spectrum * spectrum).sum(1, keepdims=True) + 1e-9)


def near(known: np.ndarray, asked: np.ndarray, radius: int, budget: int = BUDGET) -> np.ndarray:
    """Returns the pairs of hashes that differ in at most `radius` bits and little in some band.

    Complete for a radius of up to 15, as long as the budget is not exceeded.

    Args:
        known: [n, 8] uint16.
        asked: [k, 8] uint16.
        radius: Bits in which a pair may differ.
        budget: How many of `known` are compared per band and one of `asked`, on average.

    Returns:
        [m, 2] int32: row of `known`, row of `asked`; sorted, each pair once.
    """
    codes = [np.empty(0, np.int64)]
    for band in range(_BANDS):
        order = np.argsort(known[:, band], kind="stable")
        starts = np.searchsorted(known[order, band], np.arange((1 << 16) + 1))
        first = starts[:-1][asked[:, band, None] ^ _PROBES]
        counts = np.diff(starts)[asked[:, band, None] ^ _PROBES]
        counts = np.minimum(counts, _cap(counts, budget * len(asked)))
        for rows, places in _expand(first.ravel(), counts.ravel()):
            one, other = order[places], rows // len(_PROBES)
            keep = _alike(known, asked, one, other, radius)
            codes.append(one[keep] * np.int64(len(asked)) + other[keep])
        codes = [_distinct(np.concatenate(codes))]
    found = np.empty((len(codes[0]), 2), np.int32)
    np.floor_divide(codes[0], max(1, len(asked)), out=found[:, 0], casting="unsafe")
    np.remainder(codes[0], max(1, len(asked)), out=found[:, 1], casting="unsafe")
    return found


def _distinct(codes: np.ndarray) -> np.ndarray:
    """Returns what `np.unique` does, which for millions of numbers takes ten times as long in NumPy 2.4."""
    codes.sort()
    first = np.ones(len(codes), bool)
    np.not_equal(codes[1:], codes[:-1], out=first[1:])
    return codes[first]


def _cap(counts: np.ndarray, budget: int) -> int:
    """Returns the largest power of two (or more than all) for a bucket's size within the budget."""
    cap = 1 << int(counts.max(initial=1)).bit_length()
    while cap > _LEAST_CAP and np.minimum(counts, cap).sum() > budget:
        cap //= 2
    return cap


def _expand(first: np.ndarray, counts: np.ndarray) -> typing.Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields, in chunks, the number of the lookup and each place from `first` on, `counts` of them."""
    full = np.flatnonzero(counts)
    first, counts = first[full], counts[full]
    ends = np.cumsum(counts)
    start = 0
    while start < len(full):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        take = counts[start:stop]
        rows = np.repeat(np.arange(start, stop), take)
        places = np.arange(len(rows)) - np.repeat(ends[start:stop] - take - done, take) + first[rows]
        yield full[rows], places
        start = stop


def _alike(
    known: np.ndarray, asked: np.ndarray, one: np.ndarray, other: np.ndarray, radius: int
) -> np.ndarray:
    left, right = known.view(np.uint64), asked.view(np.uint64)
    apart = np.zeros(len(one), np.int64)
    for part in range(BITS // 64):
        apart += _ones(left[one, part] ^ right[other, part])
    return apart <= radius


def _ones(words: np.ndarray) -> np.ndarray:
    if hasattr(np, "bitwise_count"):  # NumPy 2
        return np.bitwise_count(words)
    return _ONES[words.view(np.uint16).reshape(-1, 4)].sum(1, dtype=np.uint8)
