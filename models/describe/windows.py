"""The window that a layer slides over its input."""

import dataclasses
import math
import typing

import keras

from conveyor.models.describe.graph import Shape, Step

_MIXERS = (
    keras.layers.Flatten,
    keras.layers.RNN,
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_UPSAMPLING = (keras.layers.UpSampling1D, keras.layers.UpSampling2D, keras.layers.UpSampling3D)
_PADDING = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D)
_CROPPING = (keras.layers.Cropping1D, keras.layers.Cropping2D, keras.layers.Cropping3D)


@dataclasses.dataclass(frozen=True)
class Window:
    """Which places of its input one place of a layer's output reads, along one side.

    Args:
        kernel: Places in the window.
        stride: Places between windows; where `expands`, output places an input place.
        dilation: Places between two of the window.
        before: Places of padding before the first.
        expands: Whether the output is the larger one, as in a transposed convolution.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    expands: bool = False

    def span(self, low: float, high: float) -> tuple[float, float]:
        """Returns the first and last place of the input that a range of the output reads."""
        reach = (self.kernel - 1) * self.dilation
        if self.expands:
            return (
                math.ceil((low + self.before - reach) / self.stride),
                math.floor((high + self.before) / self.stride),
            )
        first = -self.before
        return low * self.stride + first, high * self.stride + first + reach


def spatial(shape: Shape) -> Shape:
    """Returns the sides of a feature map; () for what has none."""
    return shape[:-1] if len(shape) > 1 else ()


def slides(layer: typing.Any) -> bool:
    """Whether a layer slides a kernel or a pooling window."""
    return hasattr(layer, "strides") and (hasattr(layer, "kernel_size") or hasattr(layer, "pool_size"))


def windows(step: Step) -> list[Window]:
    """Returns the window along each side of a layer that keeps places apart: a place by default."""
    layer, sides = step.layer, len(spatial(step.output))
    if slides(layer):
        return _sliding(step)
    if isinstance(layer, _UPSAMPLING):
        smooth = getattr(layer, "interpolation", "nearest") != "nearest"
        return [_enlarging(factor, smooth) for factor in _each(layer.size, sides)]
    if isinstance(layer, (*_PADDING, *_CROPPING)):
        sign = 1 if isinstance(layer, _PADDING) else -1
        pairs = getattr(layer, "padding", None) or layer.cropping
        pairs = [pairs] if sides == 1 else pairs
        return [Window(before=sign * pair[0]) for pair in pairs]
    return [Window()] * sides


def mixes(step: Step, source: Shape) -> bool:
    """Whether each output reads all places of a source."""
    mixed = isinstance(step.layer, _MIXERS) or not spatial(step.output) or not spatial(source)
    return mixed or (
        set(spatial(step.output)) == {1} and set(spatial(source)) != {1} and not slides(step.layer)
    )


def keeps_places(step: Step, source: Shape) -> bool:
    """Whether it is known which places of a source an output reads."""
    layer, here, there = step.layer, spatial(step.output), spatial(source)
    known = slides(layer) or isinstance(layer, (*_UPSAMPLING, *_PADDING, *_CROPPING))
    return known or here == there or (len(here) == len(there) and set(there) == {1})


def _sliding(step: Step) -> list[Window]:
    layer, sides = step.layer, len(spatial(step.output))
    kernels = _each(getattr(layer, "kernel_size", None) or layer.pool_size, sides)
    strides = _each(layer.strides, sides)
    dilations = _each(getattr(layer, "dilation_rate", 1), sides)
    expands = isinstance(layer, _TRANSPOSED)
    return [
        Window(kernel, stride, dilation, _before(layer.padding, *rest, expands), expands)
        for kernel, stride, dilation, size in zip(
            kernels, strides, dilations, spatial(step.inputs[0]), strict=True
        )
        for rest in [((kernel - 1) * dilation, stride, size)]
    ]


def _before(padding: str, reach: int, stride: int, size: int | None, expands: bool) -> int:
    """Returns the padding before the first place, as TensorFlow splits it.

    Source: TensorFlow, `tf.nn` "Notes on padding".
    """
    if padding == "causal":
        return reach
    if padding == "valid":
        return 0
    if expands or size is None:
        return max(reach + 1 - stride, 0) // 2
    return max((math.ceil(size / stride) - 1) * stride + reach + 1 - size, 0) // 2


def _enlarging(factor: int, smooth: bool) -> Window:
    if not smooth or factor == 1:
        return Window(factor, factor, expands=True)
    kernel = 2 * factor - factor % 2  # two neighbours are mixed, unless a place lies on one of them
    return Window(kernel, factor, before=(kernel - factor) // 2, expands=True)


def _each(value: typing.Any, sides: int) -> tuple[int, ...]:
    return (value,) * sides if isinstance(value, int) else tuple(value)
