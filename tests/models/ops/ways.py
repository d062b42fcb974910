"""The ways in which an operation on tensors is run."""

import numpy as np
import tensorflow as tf


def run(way, function, *arguments):
    """Returns the NumPy results of a function eagerly, in tf.data, or compiled by XLA."""
    tensors = tuple(tf.convert_to_tensor(argument) for argument in arguments)
    if way == "eager":
        found = function(*tensors)
    elif way == "xla":
        found = tf.function(function, jit_compile=True)(*tensors)
    else:
        data = tf.data.Dataset.from_tensors(tensors).map(lambda *inputs: function(*inputs))
        found = next(iter(data))
    return tf.nest.map_structure(lambda tensor: tensor.numpy(), found)


def random_boxes(seed, shape, extent=100.0, largest=50.0):
    """Returns float32 xyxy boxes of a shape."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, extent, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(1, largest, (*shape, 2))], -1).astype(np.float32)
