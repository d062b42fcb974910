"""What a layer costs: operations, and the weights that a dense layer in its place would need."""

import math
import typing

import keras

from conveyor.models.describe.graph import Step

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_POOLING = (
    *(keras.layers.MaxPooling1D, keras.layers.MaxPooling2D, keras.layers.MaxPooling3D),
    *(keras.layers.AveragePooling1D, keras.layers.AveragePooling2D, keras.layers.AveragePooling3D),
)


def flops(step: Step) -> int | None:
    """Returns operations per image; a multiplication and an addition are two.

    Counted are convolutions, dense layers and pooling windows; what is done once per feature, such
    as an activation, is not. None for a layer whose weights are used in a way that is not known, or
    an image of any size.
    """
    layer, positions = step.layer, step.output[:-1]
    if None in step.output or any(None in shape for shape in step.inputs):
        return None
    if isinstance(layer, _TRANSPOSED):
        return 2 * _product(step.inputs[0][:-1]) * _product(layer.kernel.shape)
    if isinstance(layer, (*_CONVOLUTIONS, *_DEPTHWISE, keras.layers.Dense)):
        return 2 * _product(positions) * _product(layer.kernel.shape)
    if isinstance(layer, _SEPARABLE):
        weights = _product(layer.depthwise_kernel.shape) + _product(layer.pointwise_kernel.shape)
        return 2 * _product(positions) * weights
    if isinstance(layer, _POOLING):
        return _product(step.output) * _product(layer.pool_size)
    return None if _has_matrix(layer) else 0


def parameters(layer: typing.Any) -> int:
    """Returns the number of weights, also those that are not trained; 0 for an operation."""
    return layer.count_params() if isinstance(layer, keras.Layer) and layer.built else 0


def dense_parameters(step: Step) -> int | None:
    """Returns the weights of a dense layer between the same shapes, which shares none.

    None for a layer that does not share its weights over positions.
    """
    shared = (*_CONVOLUTIONS, *_TRANSPOSED, *_DEPTHWISE, *_SEPARABLE)
    if not isinstance(step.layer, shared) or None in (*step.inputs[0], *step.output):
        return None
    outputs = _product(step.output)
    return _product(step.inputs[0]) * outputs + (outputs if step.layer.use_bias else 0)


def _has_matrix(layer: typing.Any) -> bool:
    return any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ()))


def _product(shape: typing.Iterable[typing.Any]) -> int:
    return math.prod(int(side) for side in shape)
