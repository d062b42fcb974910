"""Where operations must be such as other runtimes than TensorFlow have."""

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

_IS_PORTABLE = contextvars.ContextVar("is_portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Makes what is traced inside portable: to LiteRT and ONNX, as what XLA compiles is anyway."""
    token = _IS_PORTABLE.set(True)
    try:
        yield
    finally:
        _IS_PORTABLE.reset(token)


def is_portable() -> bool:
    """Returns whether what is being traced must be portable: inside `portable`, or compiled by XLA."""
    return _IS_PORTABLE.get() or control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )
