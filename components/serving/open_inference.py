"""Tensors of the Open Inference Protocol, whether they come by REST or gRPC."""

import dataclasses
import struct
import typing

import numpy as np

from conveyor.components.serving.errors import Refused
from conveyor.components.serving.front import signature_of
from conveyor.components.serving.store import Served, Store
from conveyor.components.serving.tensors import check, from_base64, shaped
from conveyor.components.serving.version import Signature

_TYPES = {
    "BYTES": "object",
    "BOOL": "bool",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "FP32": "float32",
    "FP64": "float64",
}
_NAMES = {name: kind for kind, name in _TYPES.items()}


@dataclasses.dataclass(frozen=True)
class Input:
    """A tensor of a request: `data`, values as JSON or protocol buffers have them, or `raw` bytes."""

    name: str
    datatype: str
    shape: list[int]
    data: typing.Any = None
    raw: bytes | None = None


def datatype(dtype: np.dtype) -> str:
    """Returns what the protocol calls a type."""
    return _NAMES.get(dtype.name, "FP32")


def find_input(served: Served, inputs: list[Input]) -> tuple[Signature, np.ndarray]:
    """Returns what is asked: the signature that has an input of this name, and its value.

    Raises:
        Refused: There is none, or the value does not fit.
    """
    known = {signature.input: signature for signature in served.version.signatures.values()}
    known[signature_of(served, "").input] = signature_of(served, "")
    if len(inputs) != 1 or inputs[0].name not in known:
        shown = ", ".join(repr(one.name[:40]) for one in inputs[:5]) or "none"
        raise Refused(400, f"expected one input, {' or '.join(sorted(map(repr, known)))}, received {shown}")
    signature, (one,) = known[inputs[0].name], inputs
    if one.datatype != datatype(signature.dtype):
        raise Refused(
            400, f"input {one.name!r}: expected {datatype(signature.dtype)}, received {one.datatype[:40]!r}"
        )
    values = _values(one) if one.raw is None else _of_raw(one, signature.dtype)
    if one.raw is None and signature.dtype != object:
        values = _numbers(values, one.name, signature.dtype)
    return signature, check(shaped(values, one.shape, one.name), signature)


def _values(one: Input) -> np.ndarray:
    """Returns what is given as a list."""
    data = list(_flat(one.data, one.name))
    values = np.empty(len(data), object)
    values[:] = (
        [_bytes(value, f"{one.name}[{at}]") for at, value in enumerate(data)]
        if one.datatype == "BYTES"
        else data
    )
    return values


def _flat(data: typing.Any, name: str, depth: int = 0) -> typing.Iterator[typing.Any]:
    """Yields the values of lists in lists, which the protocol allows."""
    if not isinstance(data, list) or depth > 8:
        raise Refused(400, f"input {name!r}: expected 'data', a list of values")
    for value in data:
        if isinstance(value, list):
            yield from _flat(value, name, depth + 1)
        else:
            yield value


def _bytes(value: typing.Any, where: str) -> bytes:
    return value if isinstance(value, bytes) else from_base64(value, where)


def _numbers(values: np.ndarray, name: str, dtype: np.dtype) -> np.ndarray:
    if not all(type(value) in (int, float) for value in values):
        raise Refused(400, f"input {name!r}: expected numbers")
    try:
        return values.astype(dtype)
    except (OverflowError, ValueError) as error:
        raise Refused(400, f"input {name!r}: {error}") from None


def _of_raw(one: Input, dtype: np.dtype) -> np.ndarray:
    raw = one.raw or b""
    if dtype.kind != "O":
        if len(raw) % dtype.itemsize:
            raise Refused(400, f"input {one.name!r}: its binary data is cut short")
        return np.frombuffer(raw, dtype)
    found, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        text = raw[at + 4 : at + 4 + size]
        at += 4 + size
        if at > len(raw):
            raise Refused(400, f"input {one.name!r}: its binary data is cut short")
        found.append(text)
    values = np.empty(len(found), object)
    values[:] = found
    return values


def to_raw(array: np.ndarray) -> bytes:
    """Returns a tensor as binary data: strings with their lengths, numbers little-endian."""
    if array.dtype != object:
        return np.ascontiguousarray(array).tobytes()
    return b"".join(struct.pack("<I", len(text)) + text for text in array.ravel())


def describe(store: Store, served: Served) -> dict[str, typing.Any]:
    """Returns what the protocol tells of a model."""
    signature = signature_of(served, "")
    versions = sorted(store.model(served.model).served)
    inputs = {signature.input: (signature.dtype, signature.shape)}
    return {
        "name": served.model,
        "versions": [str(number) for number in versions],
        "platform": "tensorflow_savedmodel",
        "inputs": [_describe(name, *what) for name, what in inputs.items()],
        "outputs": [_describe(name, *what) for name, what in signature.outputs.items()],
    }


def _describe(name: str, dtype: np.dtype, shape: tuple[int | None, ...]) -> dict[str, typing.Any]:
    return {
        "name": name,
        "datatype": datatype(dtype),
        "shape": [-1 if size is None else size for size in shape],
    }
