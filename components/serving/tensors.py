"""Requests and answers as arrays: TensorFlow Serving's JSON, and protocol buffers."""

import binascii
import typing

import numpy as np
from tensorflow.core.framework import tensor_pb2, types_pb2

from conveyor.components.serving.errors import Refused
from conveyor.components.serving.version import Signature
from conveyor.pipeline.errors import did_you_mean

Outputs = dict[str, np.ndarray]
_PLAIN = (
    np.float64,
    np.float32,
    np.int64,
    np.int32,
    np.uint8,
    np.int8,
    np.uint16,
    np.int16,
    np.uint32,
    np.uint64,
    np.bool_,
)


# === TensorFlow Serving's JSON ===


def from_json(document: typing.Any, signature: Signature) -> tuple[np.ndarray, bool]:
    """Returns the input that a request holds, and whether it is one of rows ("instances").

    Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API".

    Raises:
        Refused: It holds no input of this signature.
    """
    if not isinstance(document, dict):
        raise Refused(400, "expected a JSON object with 'instances' or 'inputs'")
    is_rows, is_columns = "instances" in document, "inputs" in document
    if is_rows == is_columns:
        raise Refused(400, f"expected one of 'instances' and 'inputs', received {_keys(document)}")
    key = "instances" if is_rows else "inputs"
    values = document[key]
    if is_rows:
        if not isinstance(values, list):
            raise Refused(400, "'instances' is no list")
        values = [_named(value, signature, f"instances[{at}]") for at, value in enumerate(values)]
    else:
        values = _named(values, signature, "inputs")
        if not isinstance(values, list):
            values = [values]
    if not values:
        raise Refused(400, f"{key!r} is empty: nothing is asked")
    return check(_array(values, signature, key), signature), is_rows


def _keys(document: dict[str, typing.Any]) -> str:
    return ", ".join(repr(key)[:40] for key in list(document)[:5]) or "an empty object"


def _named(value: typing.Any, signature: Signature, where: str) -> typing.Any:
    """Returns a value that may be given by the name of its input."""
    if not isinstance(value, dict) or set(value) == {"b64"}:
        return value
    if set(value) != {signature.input}:
        raise Refused(400, f"{where}: expected input {signature.input!r}, received {_keys(value)}")
    return value[signature.input]


def _array(values: list[typing.Any], signature: Signature, where: str) -> np.ndarray:
    if signature.dtype == object:
        rows = np.empty(len(values), object)
        rows[:] = [_bytes(value, f"{where}[{at}]") for at, value in enumerate(values)]
        return rows
    try:
        found = np.array(values)
    except ValueError:
        found = np.array(None)
    if found.dtype.kind not in "iuf":
        raise Refused(400, f"{where}: expected numbers of shape {_shape(signature)}, all rows of the same")
    return finite(found.astype(np.float64), signature).astype(signature.dtype)


def finite(values: np.ndarray, signature: Signature) -> np.ndarray:
    """Returns numbers.

    Raises:
        Refused: Some are none, or larger than the type of the input can hold.
    """
    dtype = signature.dtype
    if dtype.kind == "b":
        return values
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    if not ((values >= limits.min) & (values <= limits.max)).all():
        raise Refused(400, f"input {signature.input!r}: expected finite numbers of type {dtype.name}")
    return values


def _bytes(value: typing.Any, where: str) -> bytes:
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        return from_base64(value["b64"], where)
    if isinstance(value, str):
        return value.encode()
    raise Refused(400, f"{where}: expected {{'b64': '…'}}, received {type(value).__name__}")


def from_base64(text: typing.Any, where: str) -> bytes:
    """Returns the bytes that base64 text stands for.

    Raises:
        Refused: It is none.
    """
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Refused(400, f"{where} is no base64: {error}") from None


def check(rows: np.ndarray, signature: Signature) -> np.ndarray:
    """Returns an input.

    Raises:
        Refused: It is not of the signature's shape.
    """
    fits = len(rows.shape) == len(signature.shape) and all(
        wanted in (None, found) for found, wanted in zip(rows.shape, signature.shape, strict=True)
    )
    if not fits or not rows.size:
        raise Refused(
            400,
            f"expected an input of shape {_shape(signature)} that is not empty, received {list(rows.shape)}",
        )
    return rows


def _shape(signature: Signature) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in signature.shape)}]"


def to_json(outputs: Outputs, is_rows: bool) -> dict[str, typing.Any]:
    """Returns an answer for orjson; numbers that are not finite become null."""
    columns = {name: readable(array) for name, array in outputs.items()}
    (only,) = columns.values() if len(columns) == 1 else (None,)
    if not is_rows:
        return {"outputs": columns if only is None else only}
    if only is not None:
        return {"predictions": list(only)}
    names = list(columns)
    return {
        "predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    }


def readable(array: np.ndarray) -> typing.Any:
    """Returns an array for orjson: of strings as lists, of numbers in a type that it knows."""
    if array.dtype == object:
        texts = [text.decode("utf-8", errors="replace") for text in array.ravel()]
        return np.array(texts, object).reshape(array.shape).tolist()
    return np.ascontiguousarray(array) if array.dtype.type in _PLAIN else array.astype(np.float32)


# === protocol buffers ===


def from_proto(tensor: tensor_pb2.TensorProto, signature: Signature) -> np.ndarray:
    """Returns the input that a tensor of a request is.

    Raises:
        Refused: It is of another type or shape, or holds another number of values than its shape says.
    """
    shape = [int(dim.size) for dim in tensor.tensor_shape.dim]
    wanted = types_pb2.DT_STRING if signature.dtype == object else _PROTO[signature.dtype.name][0]
    if tensor.dtype != wanted:
        raise Refused(
            400,
            f"input {signature.input!r}: expected {types_pb2.DataType.Name(wanted)},"
            f" received {_type_name(tensor.dtype)}",
        )
    if signature.dtype == object:
        values = np.empty(len(tensor.string_val), object)
        values[:] = list(tensor.string_val)
    elif tensor.tensor_content:
        if len(tensor.tensor_content) % signature.dtype.itemsize:
            raise Refused(400, f"input {signature.input!r}: its content is cut short")
        values = np.frombuffer(tensor.tensor_content, signature.dtype)
    else:
        values = np.array(getattr(tensor, _PROTO[signature.dtype.name][1]), signature.dtype)
    return check(shaped(values, shape, signature.input), signature)


def shaped(values: np.ndarray, shape: list[int], name: str) -> np.ndarray:
    """Returns values in a shape that a client gave.

    Raises:
        Refused: They are not as many.
    """
    count = 1
    for size in shape:
        count = -1 if size < 0 or count < 0 else count * size  # whole numbers: nothing overflows
    if count != values.size:
        raise Refused(400, f"input {name!r}: {values.size} values for shape {shape[:8]}")
    return values.reshape(shape)


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """Returns an output as TensorFlow Serving sends it."""
    tensor = tensor_pb2.TensorProto()
    for size in array.shape:
        tensor.tensor_shape.dim.add().size = size
    if array.dtype == object:
        tensor.dtype = types_pb2.DT_STRING
        tensor.string_val.extend(array.ravel().tolist())
    else:
        tensor.dtype = _PROTO[array.dtype.name][0]
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
    return tensor


_PROTO = {
    "float32": (types_pb2.DT_FLOAT, "float_val"),
    "float64": (types_pb2.DT_DOUBLE, "double_val"),
    "int32": (types_pb2.DT_INT32, "int_val"),
    "int64": (types_pb2.DT_INT64, "int64_val"),
    "uint8": (types_pb2.DT_UINT8, "int_val"),
    "int8": (types_pb2.DT_INT8, "int_val"),
    "bool": (types_pb2.DT_BOOL, "bool_val"),
}


def _type_name(number: int) -> str:
    return types_pb2.DataType.Name(number) if number in types_pb2.DataType.values() else f"type {number}"


def pick(outputs: Outputs, names: typing.Iterable[str]) -> Outputs:
    """Returns the outputs that a client asks for; all unless it names some.

    Raises:
        Refused: There is no such output.
    """
    wanted = list(names)
    for name in wanted:
        if name not in outputs:
            raise Refused(400, f"there is no output {name[:100]!r}: {did_you_mean(name[:100], outputs)}")
    return {name: outputs[name] for name in wanted} if wanted else outputs
