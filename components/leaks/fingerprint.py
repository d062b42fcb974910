"""A fixed-size fingerprint of an image, and the spectra that duplicates are searched and confirmed by.

Layout of the 1,028 bytes: width and height of the image (each uint16, little-endian, at most 65535),
then a thumbnail of 32 x 32 uint8, row by row. Hashes are derived from the thumbnail at search time,
because a hash of the whole image alone does not survive a shift by 2 pixels of 28: what is hashed is a
window that moves with the content, so its position must be free.

imagehash's pHash is not used: it fixes that window, its median threshold needs one call per image,
and it keeps nothing to confirm by.

Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section
3.2.1 (low frequencies of the DCT of a 32 x 32 thumbnail).
"""

import functools
import itertools

import numpy as np
import PIL.Image

SIDE = 32
HEADER = 4
SIZE = HEADER + SIDE * SIDE
_MARGIN = 1 / 12  # of the width: left for shifts at each side of the window
_TAPER = 1 / 12  # of the window: fades in and out, so that fractions of a pixel count
_STEPS = 512  # shifts are rounded to 1/512 of the width: 0.05 pixels of 28
_CHUNK = 4096  # images whose spectra are computed at a time; bounds memory


def fingerprint(grey: np.ndarray | PIL.Image.Image) -> bytes:
    """Returns the fingerprint of a grey image.

    Args:
        grey: [height, width] uint8, both at least 1; or a Pillow image of mode L.

    Returns:
        `SIZE` bytes.

    Raises:
        ValueError: The image is not of this kind.
    """
    if isinstance(grey, np.ndarray):
        if grey.ndim != 2 or grey.dtype != np.uint8 or not grey.size:
            received = f"{grey.dtype} {grey.shape}"
            raise ValueError(f"expected a non-empty [height, width] uint8. Received: {received}")
        grey = PIL.Image.frombuffer("L", grey.shape[::-1], np.ascontiguousarray(grey), "raw", "L", 0, 1)
    elif grey.mode != "L":
        raise ValueError(f"expected an image of mode L. Received: {grey.mode}")
    width, height = (min(side, 65535) for side in grey.size)
    image = grey.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS, reducing_gap=1.5)
    return width.to_bytes(2, "little") + height.to_bytes(2, "little") + image.tobytes()


def stack(fingerprints: list[bytes]) -> np.ndarray:
    """Returns fingerprints as [n, SIZE] uint8, read-only."""
    return np.frombuffer(b"".join(fingerprints), np.uint8).reshape(-1, SIZE)


def sizes(fingerprints: np.ndarray) -> np.ndarray:
    """Returns width and height of each image: [n, 2] int64."""
    pairs = np.ascontiguousarray(fingerprints[:, :HEADER]).view("<u2")
    return np.maximum(pairs.astype(np.int64), 1)


def brightness(fingerprints: np.ndarray) -> np.ndarray:
    """Returns the mean of each thumbnail, in [0, 255]: [n] float64."""
    return fingerprints[:, HEADER:].sum(1, dtype=np.int64) / (SIDE * SIDE)


def spectra(fingerprints: np.ndarray, order: int, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Returns the low frequencies of a window on each image, without the mean.

    Args:
        fingerprints: [n, SIZE] uint8.
        order: Number of frequencies per axis.
        shift: By how many pixels of the image the window is moved down and to the right.

    Returns:
        [n, order * order - 1] float32, row by row, in grey levels times `SIDE / 2`.
    """
    found = np.empty((len(fingerprints), order * order - 1), np.float32)
    steps = np.rint(np.array(shift[::-1]) * _STEPS / sizes(fingerprints)).astype(np.int64)
    limit = round(_STEPS * _MARGIN * 1.5)
    steps = np.clip(steps, -limit, limit)
    code = (steps[:, 0] + _STEPS) * 2 * _STEPS + steps[:, 1] + _STEPS
    ranks = np.argsort(code, kind="stable")
    _, starts = np.unique(code[ranks], return_index=True)
    for start, stop in itertools.pairwise([*starts, len(ranks)] if len(ranks) else []):
        right, down = (int(step) for step in steps[ranks[start]])
        for first in range(start, stop, _CHUNK):
            rows = ranks[first : min(first + _CHUNK, stop)]
            found[rows] = _window(fingerprints[rows, HEADER:], order, down, right)
    return found


def _window(pixels: np.ndarray, order: int, down: int, right: int) -> np.ndarray:
    rows, columns = _waves(order, down), _waves(order, right)
    weights = np.outer(rows[0], columns[0]).ravel()
    values = pixels.astype(np.float32)
    values -= (values @ weights / weights.sum())[:, None]
    values = values.reshape(-1, SIDE, SIDE) @ columns.T
    return (rows @ values).reshape(len(pixels), -1)[:, 1:] * (2 / SIDE)


@functools.lru_cache(maxsize=4096)
def _waves(order: int, step: int) -> np.ndarray:
    """Returns the DCT-II's cosines on a tapered window moved by `step`: [order, SIDE] float32."""
    centres = (np.arange(SIDE) + 0.5) / SIDE
    inside = np.clip((centres - _MARGIN - step / _STEPS) / (1 - 2 * _MARGIN), 0, 1)
    fade = np.clip(inside / _TAPER, 0, 1) * np.clip((1 - inside) / _TAPER, 0, 1)
    taper = np.sin(np.pi / 2 * fade) ** 2
    return (np.cos(np.pi * np.arange(order)[:, None] * inside) * taper).astype(np.float32)


@functools.cache
def radii(order: int) -> np.ndarray:
    """Returns the radial frequency of each column of `spectra`, in half-waves per window."""
    rows, columns = np.mgrid[:order, :order]
    return np.hypot(rows, columns).ravel()[1:]
