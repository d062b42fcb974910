"""The layer table: what each layer makes, costs and sees."""

import math
import typing

import keras


def layer_table(model: keras.Model) -> list[dict[str, typing.Any]]:
    """Returns a row per layer of a model whose layers form a chain.

    Args:
        model: A built model with one input.

    Returns:
        Dicts with `layer`, `type`, `output` (shape without the batch), `parameters`, `flops` (per
        image; a multiply and an add count as two), `kernel`, `stride`, `receptive_field` (pixels
        of the input that one output sees, along one side; None once positions are mixed).

    Source: Dumoulin, Visin, "A guide to convolution arithmetic for deep learning", 2016, for the
    shapes; Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks",
    Distill 2019, equation 2, for the field: r += (k - 1) * j, then j *= s.
    """
    rows = []
    field: int | None = 1
    jump = 1
    for layer in model.layers:
        window = _window(layer)
        kernel, stride = window or (1, 1)
        if isinstance(layer, keras.layers.Flatten | keras.layers.Dense | keras.layers.GlobalAveragePooling2D):
            field = None
        elif field is not None:
            dilation = getattr(layer, "dilation_rate", (1,))[0]
            field += (kernel - 1) * dilation * jump
            jump *= stride
        shape = layer.output.shape[1:]
        rows.append(
            {
                "layer": layer.name,
                "type": type(layer).__name__,
                "output": "x".join(str(side) for side in shape),
                "parameters": layer.count_params(),
                "flops": _flops(layer, shape),
                "kernel": kernel if window else None,
                "stride": stride if window else None,
                "receptive_field": field,
            }
        )
    return rows


def _window(layer: keras.Layer) -> tuple[int, int] | None:
    """Returns side and stride of the window a layer slides over its input, if it does."""
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    strides = getattr(layer, "strides", None)
    return (size[0], strides[0]) if size and strides else None


def _flops(layer: keras.Layer, shape: tuple[int, ...]) -> int:
    """Returns operations per image: two per weight and position of convolutions and dense layers."""
    if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
        positions = math.prod(shape[:-1])
        return 2 * positions * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
        return math.prod(shape) * math.prod(layer.pool_size)
    return 0
