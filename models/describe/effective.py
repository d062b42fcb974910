"""The effective receptive field: how much of what it can see a feature really depends on."""

import math

import numpy as np
import tensorflow as tf

from conveyor.models.describe.graph import Step, run
from conveyor.models.describe.windows import slides, spatial

_HOLDS = 0.95  # share of the squared gradient
_MOST_LAYERS = 12
_MOST_SAMPLES = 16
_OPERATIONS = 4_000_000_000  # of the forward pass over all samples, about


def effective_fields(steps: list[Step], flops: int, most: int = _MOST_LAYERS) -> dict[int, tuple[int, ...]]:
    """Measures fields by gradient, on random inputs.

    For the middle place of a feature map, each of its channels weighted at random: the fewest
    pixels along a side that hold 95% of the squared gradient by the input, in the mean over inputs.

    Args:
        steps: Of a `conveyor.models.describe.graph.Graph`.
        flops: Operations of the model per image; of a large model fewer inputs are tried.
        most: Layers to measure, at the most; evenly spaced among those with a window, the last included.

    Returns:
        Index of a step -> pixels along each side. Empty for a model without one input of known size.

    Source: Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural
    Networks", NIPS 2016, section 2; the share instead of two standard deviations, which is more
    than the theoretical field where gradients are even.
    """
    inputs = [step for step in steps if step.arguments is None]
    chosen = _choose(steps, most)
    if len(inputs) != 1 or None in inputs[0].output or not spatial(inputs[0].output) or not chosen:
        return {}
    random = np.random.default_rng(0)
    samples = max(1, min(_MOST_SAMPLES, _OPERATIONS // max(flops, 1)))
    image = tf.constant(
        random.standard_normal([samples, *(side or 0 for side in inputs[0].output)]), tf.float32
    )
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(image)
        values = run(steps, [image])
        middles = {index: _middle(values[index][0], random) for index in chosen}
    found = {}
    for index, middle in middles.items():
        gradient = tape.gradient(middle, image)
        squared = np.square(0.0 if gradient is None else gradient.numpy(), dtype=np.float64)
        if 0 < squared.sum() < np.inf:
            found[index] = _extents(squared)
    return found


def _choose(steps: list[Step], most: int) -> list[int]:
    layers = [
        index
        for index, step in enumerate(steps)
        if slides(step.layer) and None not in step.output and max(_kernel(step)) > 1
    ]
    step = max(1, math.ceil(len(layers) / most))
    return layers[::-1][::step][::-1]


def _kernel(step: Step) -> tuple[int, ...]:
    kernel = getattr(step.layer, "kernel_size", None) or step.layer.pool_size
    return (kernel,) if isinstance(kernel, int) else tuple(kernel)


def _middle(features: tf.Tensor, random: np.random.Generator) -> tf.Tensor:
    """Returns the middle place, its channels weighted at random so that they do not cancel out."""
    for size in spatial(tuple(features.shape[1:])):
        features = features[:, (size or 0) // 2]
    weights = random.standard_normal(features.shape).astype(np.float32)
    return tf.reduce_sum(tf.cast(features, tf.float32) * weights)


def _extents(squared: np.ndarray) -> tuple[int, ...]:
    """Returns the pixels along each side of [n, sides…, channels] that hold the share."""
    sides = range(1, squared.ndim - 1)
    profiles = [squared.sum(axis=tuple(set(range(squared.ndim)) - {side})) for side in sides]
    return tuple(map(_shortest, profiles))


def _shortest(profile: np.ndarray) -> int:
    """Returns the length of the shortest stretch with the share of the whole."""
    sums = np.concatenate([[0.0], np.cumsum(profile)])
    wanted = _HOLDS * sums[-1]
    ends = np.searchsorted(sums, sums[:-1] + wanted * (1 - 1e-9))
    return int((ends - np.arange(len(profile)))[ends < len(sums)].min())
