"""How much a reconstruction differs from its image; one value an image."""

import numpy as np
import tensorflow as tf

_EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as Keras does
_LEAST_ERROR = 1e-10  # of a perfect reconstruction: 100 dB
_WINDOW = 11  # pixels, of the structural similarity


def binary_crossentropy(images: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Returns float64 [n]: the mean over pixels, in nats.

    Args:
        images: float32 [n, height, width, channels] in [0, 1].
        reconstructions: The same shape and range.
    """
    p = np.clip(reconstructions.astype(np.float64), _EPSILON, 1 - _EPSILON)
    return _each(-(images * np.log(p) + (1 - images) * np.log1p(-p)))


def squared_error(images: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Returns float64 [n]: the mean over pixels; arguments as above."""
    return _each((images.astype(np.float64) - reconstructions) ** 2)


def peak_signal_to_noise(squared_errors: np.ndarray) -> np.ndarray:
    """Returns float64 [n] in dB, at most 100, for a peak of 1."""
    return -10 * np.log10(np.maximum(squared_errors, _LEAST_ERROR))


def structural_similarity(images: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Returns float64 [n] in [-1, 1]; the window is 11 pixels, or the image's side if that is less.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity",
    IEEE TIP 13(4), 2004.
    """
    side = min(_WINDOW, *images.shape[1:3])
    found = tf.image.ssim(images, reconstructions, max_val=1.0, filter_size=side)
    return found.numpy().astype(np.float64)


def _each(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1).mean(axis=1)
