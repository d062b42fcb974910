"""By how much one image of a pair is moved against the other, to a fraction of a pixel.

The peak of the phase correlation says it in whole pixels; a few Gauss-Newton steps on slightly blurred
images say the fraction. A border of one colour, as shifting leaves it, is overwritten by what is beside it.

Source: Kuglin and Hines, "The Phase Correlation Image Alignment Method", 1975; Lucas and Kanade, "An
Iterative Image Registration Technique", IJCAI 1981, section 4.
"""

import numpy as np
import scipy.ndimage

REACH = 4  # pixels; the largest shift that is looked for
_STEPS = 6
_BLUR = 1.0  # pixels; makes a linear step hold within one
_BORDER = 3  # rows and columns at each side that may be padding
_MARGIN = 2.0  # pixels lost to blurring and interpolation


def whole_shifts(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns how far down and to the right the content of the second image of each pair lies.

    Args:
        one: [n, height, width] float32.
        other: Of the same shape.

    Returns:
        [n, 2] float64, whole pixels, within `REACH`.
    """
    one, other = _smooth(one), _smooth(other)
    height, width = one.shape[1:]
    window = np.outer(_fade(height), _fade(width)).astype(np.float32)[None]
    size = (height + REACH, width + REACH)
    spectra = [np.fft.rfft2((x - mean(x, window)) * window, s=size) for x in (one, other)]
    cross = spectra[1] * spectra[0].conj()
    strength = np.abs(cross)
    # whitened by half: fully, noise decides where there is little content
    cross /= np.sqrt(strength + 1e-6 * strength.max((1, 2), keepdims=True) + 1e-9)
    reach = np.arange(-REACH, REACH + 1)
    surface = np.fft.irfft2(cross, s=size)
    near = surface[:, reach % size[0]][:, :, reach % size[1]].reshape(len(one), -1)
    return np.stack(np.divmod(near.argmax(1), len(reach)), 1) - float(REACH)


def shifts(one: np.ndarray, other: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Returns the same to a fraction of a pixel, given it [n, 2] to about a pixel."""
    one, other = _smooth(one), _smooth(other)
    for _ in range(_STEPS):
        shift = np.clip(shift + _step(one, other, shift), -REACH, REACH)
    return shift


def _smooth(images: np.ndarray) -> np.ndarray:
    return blur(_unpad(images), _BLUR)


def blur(images: np.ndarray, sigma: float) -> np.ndarray:
    """Returns images [n, height, width] after a Gaussian filter; `sigma` in pixels."""
    return scipy.ndimage.gaussian_filter(images, sigma, axes=(1, 2), mode="nearest")


def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the weighted mean of each image: [n, 1, 1]."""
    total = np.maximum(weights.sum((1, 2), keepdims=True), 1e-9)
    return (values * weights).sum((1, 2), keepdims=True) / total


def move(images: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Returns images [n, height, width] moved by [n, 2] pixels; what comes in repeats the edge.

    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, equation 15.
    """
    rows = np.arange(len(images))[:, None]
    for axis in (0, 1):
        start = np.floor(-shift[:, axis]).astype(int)
        taps = _cubic(-shift[:, axis] - start).astype(np.float32)
        size = images.shape[1]
        places = np.clip(np.arange(-1, size + 2) + start[:, None], 0, size - 1)
        lines = images[rows, places]
        moved = sum(lines[:, tap : tap + size] * taps[:, tap, None, None] for tap in range(4))
        images = np.ascontiguousarray(moved.transpose(0, 2, 1))  # then the other axis, and back
    return images


def both(one: np.ndarray, other: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns both images moved half way, so that both are interpolated alike."""
    return move(one, shift / 2), move(other, -shift / 2)


def inside(shape: tuple[int, ...], shift: np.ndarray) -> np.ndarray:
    """Returns 1 where both images, moved half way, show what both have; else 0: [n, height, width]."""
    seen = []
    for axis, size in enumerate(shape[1:]):
        lost = _MARGIN + np.abs(shift[:, axis, None]) / 2
        lost = np.minimum(lost, (size - 1) / 2)  # of a tiny image the middle
        places = np.arange(size)
        seen.append((places >= lost - 1e-6) & (places <= size - 1 - lost + 1e-6))
    return (seen[0][:, :, None] & seen[1][:, None, :]).astype(np.float32)


def _cubic(fraction: np.ndarray) -> np.ndarray:
    t, t2, t3 = fraction, fraction**2, fraction**3
    return np.stack(
        [(-t + 2 * t2 - t3) / 2, 1 + (3 * t3 - 5 * t2) / 2, (t + 4 * t2 - 3 * t3) / 2, (t3 - t2) / 2], 1
    )


def _unpad(images: np.ndarray) -> np.ndarray:
    """Overwrites rows and columns of one value at the edges by their neighbours."""
    images = images.copy()
    for axis in (1, 2):
        lines = np.moveaxis(images, axis, 1)
        for view in (lines, lines[:, ::-1]):
            if view.shape[1] <= _BORDER:
                continue
            plain = np.ptp(view[:, :_BORDER], axis=2) <= 1
            first = np.where(plain.all(1), 0, plain.argmin(1))  # that is not of one value
            for line in range(_BORDER - 1):
                rows = np.flatnonzero(first > line)
                view[rows, line] = view[rows, first[rows]]
    return images


def _fade(size: int) -> np.ndarray:
    places = np.arange(size) + 0.5
    edge = np.minimum(places, size - places) / max(2, size // 8)
    return np.sin(np.pi / 2 * np.clip(edge, 0, 1)) ** 2


def _step(one: np.ndarray, other: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Returns by how much to change the shift: [n, 2], at most a pixel."""
    one, other = both(one, other, shift)
    seen = inside(one.shape, shift)
    one, other = one - mean(one, seen), other - mean(other, seen)
    gain = np.sqrt(np.sqrt((mean(other**2, seen) + 1e-6) / (mean(one**2, seen) + 1e-6)))
    one, other = one * gain, other / gain
    middle, left = (one + other) / 2, one - other
    down, right = np.gradient(middle, axis=1), np.gradient(middle, axis=2)
    dd, rr, dr = (mean(x, seen)[:, 0, 0] for x in (down * down, right * right, down * right))
    dl, rl = (mean(x * left, seen)[:, 0, 0] for x in (down, right))
    dd, rr = dd * 1.001 + 1e-3, rr * 1.001 + 1e-3  # where there are only stripes, do not run along them
    step = np.stack([rr * dl - dr * rl, dd * rl - dr * dl], 1) / (dd * rr - dr * dr)[:, None]
    return np.clip(step, -1, 1)
