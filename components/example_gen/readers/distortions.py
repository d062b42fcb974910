"""The distortions of digits in the paper on spatial transformers: rotation, RTS, projective, elastic.

A distortion is a map, float64 [2, height, width]: for each pixel of the distorted picture the row and
column in the frame that it shows. `draw` draws one at random, `warp` applies it.

Source: M. Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015, section 4.1 and appendix A.4.
Its digits are MNIST's: 20 pixels of ink in frames of 28 pixels. `load_frames` gives the embedded
digits (see digits.py) the same frame, so that the paper's pixels mean the same here.
"""

import functools
import typing

import numpy as np
import PIL.Image
import scipy.interpolate
import scipy.ndimage
import sklearn.datasets

FRAME = 28  # side of a frame, in pixels
INK = 20  # side of the square in the middle of a frame that holds the ink
RTS_SIDE = 42
_MIDDLE = (FRAME - 1) / 2
_CORNERS = np.array([(0, 0), (0, FRAME - 1), (FRAME - 1, FRAME - 1), (FRAME - 1, 0)], float)


@functools.cache
def load_frames() -> tuple[np.ndarray, np.ndarray]:
    """Returns all scans, float32 [1797, 28, 28] in [0, 1], and the digits they show, int [1797]."""
    bunch = sklearn.datasets.load_digits()
    border = (FRAME - INK) // 2
    frames = np.zeros((len(bunch.images), FRAME, FRAME), np.float32)
    for frame, scan in zip(frames, bunch.images, strict=True):
        # 17 grey levels onto [0, 1]
        small = PIL.Image.fromarray(np.asarray(scan / 16, np.float32))
        ink = np.asarray(small.resize((INK, INK), PIL.Image.Resampling.BICUBIC))
        frame[border:-border, border:-border] = ink.clip(0, 1)
    return frames, bunch.target


def warp(frame: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Returns the distorted picture, of the frame's dtype: bilinear, 0 outside the frame.

    Args:
        frame: [height, width].
        where: A map, [2, new height, new width].
    """
    return scipy.ndimage.map_coordinates(frame, where, order=1, mode="constant")


def affine(
    degrees: float = 0.0,
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    side: int = FRAME,
) -> np.ndarray:
    """Returns the map that turns a frame about its middle, scales it, and moves it.

    Args:
        degrees: Counter-clockwise, as seen.
        scale: Above 1 enlarges.
        shift: Down and to the right from the middle of the new picture, in pixels.
        side: Of the new picture, in pixels.
    """
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    offset = _grid(side) - (side - 1) / 2 - np.reshape(shift, (2, 1, 1))
    return _MIDDLE + np.einsum("ij,jhw->ihw", turn, offset) / scale


def projective(corners: np.ndarray) -> np.ndarray:
    """Returns the map that pulls the frame's corners elsewhere.

    Args:
        corners: Row and column of the new corners, [4, 2]: clockwise from the top left one. They
            must span a convex quadrilateral.
    """
    equations, right = [], []
    for (row, column), (y, x) in zip(corners, _CORNERS, strict=True):
        equations.append([row, column, 1, 0, 0, 0, -row * y, -column * y])
        equations.append([0, 0, 0, row, column, 1, -row * x, -column * x])
        right += [y, x]
    homography = np.append(np.linalg.solve(equations, right), 1.0).reshape(3, 3)
    rows, columns = _grid(FRAME)
    y, x, depth = np.einsum("ij,jhw->ihw", homography, np.stack([rows, columns, np.ones_like(rows)]))
    with np.errstate(divide="ignore", invalid="ignore"):  # on the horizon, which is outside the frame
        where = np.stack([y, x]) / depth
    return np.nan_to_num(where, nan=-FRAME, posinf=-FRAME, neginf=-FRAME)


def elastic(scale: float, moves: np.ndarray) -> np.ndarray:
    """Returns the map of a thin-plate spline over a scaled frame.

    Args:
        scale: Above 1 enlarges.
        moves: By how many pixels each control point of a regular grid of 4 x 4 shows something further
            down and to the right, [16, 2]; row by row.
    """
    bend = np.einsum("hwp,pi->ihw", _spline(), moves)
    return affine(scale=scale) + bend


def draw(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Returns a random distortion of a kind: "R", "RTS", "P" or "E"."""
    return _DRAW[kind](rng)


def _draw_rotation(rng: np.random.Generator) -> np.ndarray:
    return affine(rng.uniform(-90, 90))


def _draw_rts(rng: np.random.Generator) -> np.ndarray:
    degrees, scale = rng.uniform(-45, 45), rng.uniform(0.7, 1.2)
    angle = np.deg2rad(abs(degrees))
    # As far as the turned square of ink stays inside.
    room = RTS_SIDE / 2 - scale * INK / 2 * (np.cos(angle) + np.sin(angle))
    return affine(degrees, scale, tuple(rng.uniform(-room, room, 2)), RTS_SIDE)


def _draw_projective(rng: np.random.Generator) -> np.ndarray:
    scaled = _MIDDLE + rng.uniform(0.75, 1.0) * (_CORNERS - _MIDDLE)
    while not _is_convex(corners := scaled + rng.normal(0, 5, (4, 2))):
        pass
    return projective(corners)


def _draw_elastic(rng: np.random.Generator) -> np.ndarray:
    return elastic(rng.uniform(0.75, 1.0), rng.normal(0, 1.5, (16, 2)))


_DRAW: dict[str, typing.Callable[[np.random.Generator], np.ndarray]] = {
    "R": _draw_rotation,
    "RTS": _draw_rts,
    "P": _draw_projective,
    "E": _draw_elastic,
}


def _is_convex(corners: np.ndarray) -> bool:
    """Whether corners still go round in their order, and none is turned inward or nearly straight.

    The paper does not say this; but its distances can fold a frame, or press a digit into a line.
    """
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 1] * following[:, 0] - edges[:, 0] * following[:, 1]
    return bool((turns > FRAME**2 / 8).all())


def _grid(side: int) -> np.ndarray:
    """Returns row and column of each pixel, float64 [2, side, side]."""
    return np.indices((side, side)).astype(float)


@functools.cache
def _spline() -> np.ndarray:
    """Returns how far each pixel follows each control point, [28, 28, 16].

    A spline is linear in the values at its control points, so it is solved once.
    Source: J. Duchon, "Splines minimizing rotation-invariant semi-norms in Sobolev spaces", 1977.
    """
    ticks = np.linspace(0, FRAME - 1, 4)
    points = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1).reshape(16, 2)
    spline = scipy.interpolate.RBFInterpolator(points, np.eye(16), kernel="thin_plate_spline")
    return spline(_grid(FRAME).reshape(2, -1).T).reshape(FRAME, FRAME, 16)
