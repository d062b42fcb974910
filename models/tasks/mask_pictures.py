"""Pictures of masks over their image."""

import colorsys

import numpy as np
import scipy.ndimage
import tensorflow as tf

from conveyor.models.void import VOID

_GOLDEN = 0.618033988749895  # of the colour circle from class to class, so that neighbours differ
_TINT = 0.35  # of the class's colour; the image must be seen
_GAP = 4  # pixels between two pictures


def side_by_side(image: bytes, found: np.ndarray, truth: np.ndarray | None) -> bytes:
    """Draws what was predicted, and right of it what is true.

    Args:
        image: Encoded.
        found: uint8 [height, width], class indices, of the image's size.
        truth: The same, 255 is void; None where it is not known.

    Returns:
        A PNG: classes but the first are tinted and outlined in their colours, void is dark.
    """
    pixels = tf.io.decode_image(image, 3, expand_animations=False).numpy()
    pictures = [painted(pixels, mask) for mask in (found, truth) if mask is not None]
    gap = np.full((len(pixels), _GAP, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (picture, gap)][:-1]
    return tf.io.encode_png(np.concatenate(row, axis=1)).numpy()


def painted(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns uint8 [height, width, 3]: an image with its mask; arguments as above."""
    colours = np.array([_colour(index) for index in range(VOID + 1)])[mask]
    shares = np.where((mask == 0) | (mask == VOID), 0.0, _TINT)
    shares[_outlines(mask)] = 1.0
    plain = pixels * np.where(mask == VOID, 0.3, 1.0)[..., np.newaxis]
    mixed = plain * (1 - shares[..., np.newaxis]) + colours * shares[..., np.newaxis]
    return np.rint(mixed).astype(np.uint8)


def _outlines(mask: np.ndarray) -> np.ndarray:
    """Returns the pixels of classes but the first that are beside another class."""
    cross = scipy.ndimage.generate_binary_structure(2, 1)
    low = scipy.ndimage.minimum_filter(mask, footprint=cross, mode="nearest")
    high = scipy.ndimage.maximum_filter(mask, footprint=cross, mode="nearest")
    return (low != high) & (mask != 0) & (mask != VOID)


def _colour(index: int) -> tuple[float, float, float]:
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN % 1, 0.9, 0.95)
    return 255 * red, 255 * green, 255 * blue
