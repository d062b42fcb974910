"""Decides whether two images are copies: is what differs no more than copying does?

What copying does is tried out. Where sizes differ, one image is resized to the other by each of the
usual filters, both ways. The pair is aligned, and gain and offset are fitted, with clipping at 0 and 255.
What is left over is compared with

- rounding, for exact work: `ROUNDING`, or a quarter of the contrast of faint images, if that is less;
- what JPEG of the default quality, 75, does to these very images. Where that is what happened, and
  nothing else, its doing is subtracted; else it is allowed as noise of the same strength, if the image
  stands out from it: `RICH`. Faint images are smooth once noise is taken away, and smooth ones are alike.

Contrast is what is left of an image less a ramp, as gain, offset and shift make any ramp of any other.

The doubt of a pair is what is left over by what is allowed; the larger of the two quotients counts: of
root mean squares, and of maxima, which separate thin shapes, and scenes that differ in one spot.

A plain correlation does not do: smooth images that are distinct correlate at 0.998, copies of faint
ones at 0.9.
"""

import io
import typing
from collections.abc import Sequence

import numpy as np
import PIL.Image

from conveyor.components.leaks.align import blur, both, inside, mean, shifts, whole_shifts

LIMIT = 1.0
ROUNDING = 0.4  # grey levels: of two images, the square root of 2 / 12
RICH = 10.0  # contrast by noise of JPEG
SHARE = 0.6  # of the noise of JPEG that is allowed
PEAK = 1.5  # by which the maximum of what is left may exceed that of what is allowed
_PEAK_OF_ROUNDING = 4.0  # standard deviations
_GAIN = 1.4  # by which the contrast of copies may differ
_BLUR = 0.7  # pixels: less than the thinnest strokes, enough to do away with differences of resampling
_QUALITY = 75
_SATURATED = 253
_HIGHLIGHT = 230
_FEW = 0.05  # share of the image that highlights may take up
_BRIGHTENED = 1.03  # the gain from which on highlights may have been clipped
_SMALLEST = 8  # pixels a side; of smaller images too little is left once they are aligned
_LEAST = 0.1  # grey levels of contrast, below which an image is flat
_HOPELESS = 8.0  # a doubt that no other way of resizing will dispel
_FILTERS = (PIL.Image.Resampling.BICUBIC, PIL.Image.Resampling.BILINEAR, PIL.Image.Resampling.LANCZOS)
_WAYS = [(smallest, resample) for resample in _FILTERS for smallest in (min, max)]
_CHUNK = 1 << 18  # pixels of each of two images compared at a time; bounds memory

Images = tuple[np.ndarray, np.ndarray]


def doubts(pairs: Sequence[Images]) -> np.ndarray:
    """Returns how much less alike than copies the images of each pair are.

    A pure function of each pair, whatever the others: a batch can be one element of a Beam `Map`.

    Args:
        pairs: Two grey images each, [height, width] uint8, of any sizes.

    Returns:
        [n] float64: at most `LIMIT` for copies; infinite where there is nothing to compare.
    """
    found = np.full(len(pairs), np.inf)
    for row, (one, other) in enumerate(pairs):
        one_colour = np.ptp(one) == 0 and np.ptp(other) == 0 and one.flat[0] == other.flat[0]
        if one_colour or np.array_equal(one, other):
            found[row] = 0.0
    open_rows = [row for row, images in enumerate(pairs) if found[row] and _has_content(*images)]
    for way in range(len(_WAYS)):
        for rows, one, other in _stacked(pairs, open_rows, way):
            found[rows] = np.minimum(found[rows], _compare(one, other))
        different = [row for row in open_rows if pairs[row][0].shape != pairs[row][1].shape]
        open_rows = [row for row in different if LIMIT < found[row] <= _HOPELESS]
    return found


def _has_content(one: np.ndarray, other: np.ndarray) -> bool:
    return min(one.shape + other.shape) >= _SMALLEST and min(np.ptp(one), np.ptp(other)) > 0


def score(doubt: float) -> float:
    """Returns 1 for identical images, 0.5 where the doubt is 1, 0 for what cannot be compared."""
    return 1 / (1 + doubt)


def _stacked(
    pairs: Sequence[Images], rows: list[int], way: int
) -> typing.Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Yields rows of pairs, and their images made of one size in one of the usual ways."""
    smallest, resample = _WAYS[way]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for row in rows:
        shape = tuple(smallest(sides) for sides in zip(*(image.shape for image in pairs[row]), strict=True))
        shapes.setdefault(shape, []).append(row)
    for shape, members in sorted(shapes.items()):
        step = max(1, _CHUNK // (shape[0] * shape[1]))
        for start in range(0, len(members), step):
            part = members[start : start + step]
            one, other = (np.stack([_resize(pairs[row][i], shape, resample) for row in part]) for i in (0, 1))
            yield part, one, other


def _resize(image: np.ndarray, shape: tuple[int, ...], resample: PIL.Image.Resampling) -> np.ndarray:
    if image.shape == shape:
        return image
    return np.asarray(PIL.Image.fromarray(image).resize((shape[1], shape[0]), resample))


def _compare(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the doubt of each pair of [n, height, width] uint8: [n]."""
    whole = whole_shifts(*(images.astype(np.float32) for images in (one, other)))
    found = _left(one, other, [np.zeros(one.shape, np.float32)] * 2, whole)  # without JPEG, which is dear
    rows = np.flatnonzero(found > LIMIT)
    if len(rows):
        one, other = one[rows], other[rows]
        noises = [_by_jpeg(images) for images in (one, other)]
        exact = shifts(one.astype(np.float32), other.astype(np.float32), whole[rows])
        for shift in (whole[rows], exact, np.rint(exact)):
            found[rows] = np.minimum(found[rows], _left(one, other, noises, shift))
    return found


def _by_jpeg(images: np.ndarray) -> np.ndarray:
    """Returns what JPEG changes: [n, height, width] float32."""
    changed = np.empty(images.shape, np.float32)
    for row, image in enumerate(images):
        file = io.BytesIO()
        PIL.Image.fromarray(image).save(file, "JPEG", quality=_QUALITY)
        changed[row] = np.asarray(PIL.Image.open(file), np.float32) - image
    return changed


def _left(one: np.ndarray, other: np.ndarray, noises: list[np.ndarray], shift: np.ndarray) -> np.ndarray:
    moved = both(one.astype(np.float32), other.astype(np.float32), shift)
    seen = inside(one.shape, shift)
    dark, bright = _by_contrast(*moved, seen)
    gain, made = _fit(dark, bright, seen)
    jpeg = [blur(noise, _BLUR) * seen for noise in noises]
    # highlights that were clipped before the image was reduced are darker than they would be
    clipped = ((gain > _BRIGHTENED) & (made > _HIGHLIGHT)).astype(np.float32)
    clipped *= mean(clipped, seen) < _FEW
    left = blur((made - np.clip(bright, 0, 255)) * seen * (1 - clipped), _BLUR)
    plain = blur((moved[0] - moved[1]) * seen, _BLUR)
    explained = [left, plain + jpeg[0], plain - jpeg[1]]
    contrast = _contrast(_without_ramp(blur(dark, _BLUR), seen), seen)
    found = np.min([_doubt(rest, jpeg, contrast, seen) for rest in explained], axis=0)
    comparable = (contrast > _LEAST) & (gain < _GAIN)
    return np.where(comparable, found, np.inf)[:, 0, 0]


def _doubt(left: np.ndarray, jpeg: list[np.ndarray], contrast: np.ndarray, seen: np.ndarray) -> np.ndarray:
    noise = np.maximum(*(np.sqrt(mean(x * x, seen)) for x in jpeg))
    peak = np.maximum(*(np.abs(x).max((1, 2), keepdims=True) for x in jpeg))
    floor = np.clip(contrast / 4, 1e-6, ROUNDING)
    rich = contrast >= RICH * noise
    noise, peak = SHARE * noise, SHARE * peak
    by_mean = np.sqrt(mean(left * left, seen)) / (floor + rich * noise)
    by_peak = np.abs(left).max((1, 2), keepdims=True) / (_PEAK_OF_ROUNDING * floor + rich * PEAK * peak)
    return np.maximum(by_mean, by_peak)


def _by_contrast(one: np.ndarray, other: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the image of less contrast, and that of more."""
    swapped = _contrast(one, seen) > _contrast(other, seen)
    return np.where(swapped, other, one), np.where(swapped, one, other)


def _fit(dark: np.ndarray, bright: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the gain, and the first image with the contrast and brightness of the second."""
    used = seen
    for _ in range(4):
        # the quotient of contrasts, not the slope of a regression, which noise makes too flat
        gain = (_contrast(bright, used) + 0.1) / (_contrast(dark, used) + 0.1)
        made = gain * (dark - mean(dark, used)) + mean(bright, used)
        clear = seen * ((made < _SATURATED) & (bright < _SATURATED))
        enough = clear.sum((1, 2), keepdims=True) > 0.1 * seen.sum((1, 2), keepdims=True)
        used = np.where(enough, clear, seen)
    return gain, np.clip(made, 0, 255)


def _contrast(images: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.sqrt(mean((images - mean(images, seen)) ** 2, seen))


def _without_ramp(images: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Returns images less a plane fitted to what is seen: one ramp, such as a sky, is like any other."""
    for places in np.ogrid[: images.shape[1], : images.shape[2]]:
        along = places - mean(np.broadcast_to(places, images.shape), seen)
        slope = mean((images - mean(images, seen)) * along, seen) / np.maximum(mean(along**2, seen), 1e-9)
        images = images - slope * along
    return images.astype(np.float32)
