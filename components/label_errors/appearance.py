"""What an image looks like, as numbers: where its edges run, and its colours."""

import numpy as np

SIDE = 32  # pixels of a thumbnail
_CELL = 4  # pixels
_DIRECTIONS = 8
_CELLS = SIDE // _CELL
SHAPE = _CELLS * _CELLS * _DIRECTIONS  # numbers that say where edges run
_CHUNK = 2048  # thumbnails at a time; bounds memory


def edges(thumbnails: np.ndarray) -> np.ndarray:
    """Returns histograms of gradient directions in 8 x 8 cells, whatever the contrast.

    Args:
        thumbnails: [n, SIDE, SIDE] uint8.

    Returns:
        [n, SHAPE] float32, each row of length 1; of zeros for a flat image.

    Source: Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005, with
    the square root of Arandjelović and Zisserman, "Three things everyone should know to improve
    object retrieval", CVPR 2012, section 3.
    """
    chunks = [_edges(thumbnails[start : start + _CHUNK]) for start in range(0, len(thumbnails), _CHUNK)]
    return np.concatenate([np.empty((0, SHAPE), np.float32), *chunks])


def _edges(thumbnails: np.ndarray) -> np.ndarray:
    down, right = np.gradient(thumbnails.astype(np.float32), axis=(1, 2))
    strength = np.hypot(down, right)
    direction = np.arctan2(down, right) * (_DIRECTIONS / (2 * np.pi)) % _DIRECTIONS
    cells = np.empty((len(thumbnails), _DIRECTIONS, _CELLS, _CELLS), np.float32)
    for number in range(_DIRECTIONS):
        distance = np.abs(direction - number)
        distance = np.minimum(distance, _DIRECTIONS - distance)
        shares = strength * np.maximum(1 - distance, 0)  # between the two nearest directions
        cells[:, number] = shares.reshape(-1, _CELLS, _CELL, _CELLS, _CELL).mean((2, 4))
    rows = np.sqrt(cells.reshape(len(thumbnails), SHAPE))
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def moments(sums: np.ndarray, square_sums: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Returns mean and standard deviation of each channel.

    Args:
        sums: [n, 3], of the channels' values.
        square_sums: [n, 3], of their squares.
        pixels: [n], number of pixels, at least 1.

    Returns:
        [n, 6] float32, in the values' unit.
    """
    mean = sums / pixels[:, None]
    variance = np.maximum(square_sums / pixels[:, None] - mean**2, 0)
    return np.concatenate([mean, np.sqrt(variance)], axis=1).astype(np.float32)
