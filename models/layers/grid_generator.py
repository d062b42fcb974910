"""The grid generator of a spatial transformer: where each pixel of its output looks."""

import typing

import keras
import numpy as np
import tensorflow as tf

TRANSFORMS = ("affine", "projective", "thin_plate_spline")
_NEAR = 1e-3  # depth below which a point is behind the viewer
_OUTSIDE = 3.0  # a coordinate that is in no image


@keras.saving.register_keras_serializable("conveyor")
class GridGenerator(keras.layers.Layer):
    """Turns the parameters of a transform into the points that an output of a given size looks at.

    Points are as in `BilinearSampler`: x and y, -1 and 1 are the centres of the outermost pixels, both
    of the output and of the image that is looked at, whatever their sizes.

    - affine: 6 parameters, the rows of a 2 x 3 matrix that takes (x, y, 1) of the output to the image.
    - projective: 8 parameters, the rows of a 3 x 3 matrix whose last entry is 1. What lies behind the
      viewer is outside the image.
    - thin_plate_spline: 2 parameters for each point of a regular grid over the output, row by row: x
      and y where it looks. All other points follow the smoothest surface through these.

    Args:
        size: Rows and columns of the output.
        transform: One of `TRANSFORMS`.
        control_points: On each side of the spline's grid; at least 2.

    Call arguments:
        parameters: float32 [n, parameters].

    Returns:
        float32 [n, rows, columns, 2].

    Source: Jaderberg et al., "Spatial Transformer Networks", NIPS 2015, equation 1; for splines F. L.
    Bookstein, "Principal Warps", IEEE PAMI 11(6), 1989.
    """

    def __init__(self, size, transform="affine", control_points=4, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})  # half precision cannot tell pixels apart
        self.size = tuple(size)
        self.transform = transform
        self.control_points = control_points
        self._matrix = _matrix(self.size, transform, control_points)

    def call(self, parameters):
        points = _APPLY[self.transform](parameters, tf.constant(self._matrix))
        return tf.reshape(points, [-1, *self.size, 2])

    def compute_output_shape(self, parameters_shape):
        return (parameters_shape[0], *self.size, 2)

    def get_config(self):
        own = {"size": self.size, "transform": self.transform, "control_points": self.control_points}
        return {**super().get_config(), **own}


def identity(transform: str, control_points: int = 4) -> np.ndarray:
    """Returns the parameters, float32 [parameters], with which each pixel looks at its own place."""
    if transform == "thin_plate_spline":
        return regular_points(control_points, control_points).ravel()
    return np.eye(3, dtype=np.float32).ravel()[: {"affine": 6, "projective": 8}[transform]]


def regular_points(rows: int, columns: int) -> np.ndarray:
    """Returns x and y of points spread over an image, row by row: float32 [rows * columns, 2]."""
    y, x = np.meshgrid(_ticks(rows), _ticks(columns), indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def _ticks(count: int) -> np.ndarray:
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(1)


def _matrix(size: tuple[int, int], transform: str, control_points: int) -> np.ndarray:
    """Returns what parameters are multiplied with, a row for each point of the output."""
    points = regular_points(*size)
    if transform == "thin_plate_spline":
        return _spline(points, regular_points(control_points, control_points))
    return np.append(points, np.ones((len(points), 1), np.float32), axis=1)


def _spline(points: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Returns how far each point follows each control point: float32 [points, control points].

    A spline is linear in the values at its control points, so that all but a product is done once.
    """
    count = len(control)
    system = np.zeros((count + 3, count + 3))
    system[:count] = _basis(control, control)
    system[count:, :count] = system[:count, count:].T
    solved = np.linalg.solve(system, np.eye(count + 3, count))
    return (_basis(points, control) @ solved).astype(np.float32)


def _basis(points: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Returns r^2 log r of the distances to control points, and 1, x, y: [points, control points + 3]."""
    points, control = points.astype(np.float64), control.astype(np.float64)
    squared = np.sum((points[:, None] - control[None]) ** 2, axis=-1)
    bend = squared * np.log(np.where(squared > 0, squared, 1.0)) / 2
    return np.concatenate([bend, np.ones((len(points), 1)), points], axis=1)


def _affine(parameters: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    return tf.einsum("pk,nik->npi", points, tf.reshape(parameters, [-1, 2, 3]))


def _projective(parameters: tf.Tensor, points: tf.Tensor) -> tf.Tensor:
    last = tf.ones_like(parameters[:, :1])
    matrix = tf.reshape(tf.concat([parameters, last], axis=1), [-1, 3, 3])
    x, y, depth = tf.unstack(tf.einsum("pk,nik->npi", points, matrix), axis=-1)
    seen = depth > _NEAR
    safe = tf.where(seen, depth, 1.0)  # before the division: its gradient must be a number as well
    return tf.stack([tf.where(seen, x / safe, _OUTSIDE), tf.where(seen, y / safe, _OUTSIDE)], axis=-1)


def _thin_plate_spline(parameters: tf.Tensor, follow: tf.Tensor) -> tf.Tensor:
    return tf.einsum("pk,nki->npi", follow, tf.reshape(parameters, [-1, follow.shape[1], 2]))


_APPLY: dict[str, typing.Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "affine": _affine,
    "projective": _projective,
    "thin_plate_spline": _thin_plate_spline,
}
