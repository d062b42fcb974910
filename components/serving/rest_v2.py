"""The Open Inference Protocol, version 2, over REST, with the extension for binary data.

Source: https://github.com/kserve/open-inference-protocol; binary data: Triton's extension_binary_data.
"""

import dataclasses
import typing

import fastapi
import numpy as np

from conveyor import __version__
from conveyor.components.serving import open_inference, rest, tensors
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.front import Counted, answer
from conveyor.components.serving.store import Store

_LENGTH = b"inference-header-content-length"  # bytes of JSON in front of binary data
_BODY = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype"],
                "properties": {
                    "name": {"type": "string"},
                    "shape": {"type": "array", "items": {"type": "integer"}},
                    "datatype": {"type": "string", "enum": ["BYTES", "FP32"]},
                    "parameters": {"type": "object"},
                    "data": {
                        "type": "array",
                        "items": {},
                        "description": "Of images: base64 of their files.",
                    },
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
            },
        },
    },
}
_TEXT = rest.describe(_BODY, "`outputs` of the model.")


INFER = rest.direct("/v2/models", "/infer")


def inferring(store: Store) -> rest.Handler:
    """Returns who answers where `INFER` is asked."""

    async def infer(
        name: str, version: str | None, body: bytes, headers: dict[bytes, bytes]
    ) -> fastapi.Response:
        with Counted("rest_v2") as counted:
            served = rest.served_by(store, name, version)
            counted.model = served.model
            document, binary = _split(body, headers.get(_LENGTH))
            asked = _inputs(document, binary)
            signature, rows = open_inference.find_input(served, asked)
            wanted = _wanted(document)
            outputs = await answer(store, served, signature, rows, rest.seconds_given(headers))
            told = {"model_name": served.model, "model_version": str(served.number)}
            response = _response(told | _named(document), outputs, wanted)
            counted.status = 200
            return response

    return infer


def add_routes(app: fastapi.FastAPI, store: Store) -> None:
    """Adds the routes of this protocol; of inference what they are, see `Guard`."""

    async def server() -> fastapi.Response:
        return rest.JSON({"name": "conveyor", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def live() -> fastapi.Response:
        return rest.JSON({"live": True})

    async def ready() -> fastapi.Response:
        return rest.JSON({"ready": store.is_ready}, 200 if store.is_ready else 503)

    async def model(name: str, version: str | None = None) -> fastapi.Response:
        return rest.JSON(open_inference.describe(store, rest.served_by(store, name, version)))

    async def model_ready(name: str, version: str | None = None) -> fastapi.Response:
        served = rest.served_by(store, name, version)
        return rest.JSON({"name": served.model, "ready": True})

    async def infer(name: str, version: str | None = None) -> None:
        """For the OpenAPI document: it is answered before it comes here."""
        raise Refused(404, f"there is no path of model {name[:100]!r}, version {version}, that is written so")

    app.add_api_route("/v2", server, tags=["v2"], summary="What this server is")
    app.add_api_route("/v2/health/live", live, tags=["v2"], summary="Whether it runs")
    app.add_api_route("/v2/health/ready", ready, tags=["v2"], summary="Whether it answers")
    handlers: list[tuple[str, typing.Any, dict[str, typing.Any]]] = [
        ("", model, {"summary": "Inputs and outputs of a model"}),
        ("/ready", model_ready, {"summary": "Whether a model answers"}),
        ("/infer", infer, {"methods": ["POST"], "openapi_extra": _TEXT, "summary": "Predict images"}),
    ]
    for tail, handler, rest_of in handlers:
        for path in ("/v2/models/{name:model}", "/v2/models/{name:model}/versions/{version:model}"):
            app.add_api_route(path + tail, handler, tags=["v2"], response_class=rest.JSON, **rest_of)


def _split(body: bytes, told: bytes | None) -> tuple[dict[str, typing.Any], bytes]:
    """Returns the JSON document of a body, and the binary data behind it."""
    length = len(body)
    if told is not None:
        if not (told.isdigit() and len(told) < 12 and int(told) <= length):
            raise Refused(400, f"header {_LENGTH.decode()}: expected a number of bytes up to {length}")
        length = int(told)
    document = rest.parse_json(body[:length])
    if not isinstance(document, dict):
        raise Refused(400, "expected a JSON object with 'inputs'")
    return document, body[length:]


def _inputs(document: dict[str, typing.Any], binary: bytes) -> list[open_inference.Input]:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise Refused(400, "expected 'inputs', a list of objects with name, shape, datatype and data")
    found, start = [], 0
    for at, one in enumerate(inputs):
        name, shape, kind = one.get("name"), one.get("shape"), one.get("datatype")
        is_shape = isinstance(shape, list) and all(type(size) is int for size in shape)
        if not (isinstance(name, str) and isinstance(kind, str) and is_shape):
            raise Refused(400, f"inputs[{at}]: expected name, shape, a list of whole numbers, and datatype")
        given = one.get("parameters") or {}
        size = given.get("binary_data_size") if isinstance(given, dict) else None
        if size is None:
            found.append(open_inference.Input(name, kind, shape, data=one.get("data")))
            continue
        if type(size) is not int or not 0 <= size <= len(binary) - start:
            raise Refused(400, f"inputs[{at}]: binary_data_size is not what follows the JSON")
        found.append(open_inference.Input(name, kind, shape, raw=binary[start : start + size]))
        start += size
    return found


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """Which outputs are asked for, all if there are no `names`; and which of them as binary data."""

    names: list[str]
    binary: dict[str, bool]
    otherwise: bool


def _wanted(document: dict[str, typing.Any]) -> _Wanted:
    outputs = document.get("outputs") or []
    is_list = isinstance(outputs, list) and all(isinstance(one, dict) for one in outputs)
    if not (is_list and all(isinstance(one.get("name"), str) for one in outputs)):
        raise Refused(400, "expected 'outputs', a list of objects with a name")
    otherwise = _flag(document, "binary_data_output", False)
    binary = {one["name"]: _flag(one, "binary_data", otherwise) for one in outputs}
    return _Wanted([one["name"] for one in outputs], binary, otherwise)


def _named(document: dict[str, typing.Any]) -> dict[str, str]:
    asked = document.get("id")
    return {"id": asked} if isinstance(asked, str) else {}


def _response(told: dict[str, str], outputs: dict[str, np.ndarray], wanted: _Wanted) -> fastapi.Response:
    """Returns the answer: JSON, and behind it what is asked for as binary data."""
    shown, raws = [], []
    for name, array in tensors.pick(outputs, wanted.names).items():
        one: dict[str, typing.Any] = {"name": name}
        one |= {"datatype": open_inference.datatype(array.dtype), "shape": list(array.shape)}
        if wanted.binary.get(name, wanted.otherwise):
            raws.append(open_inference.to_raw(array))
            one["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            one["data"] = tensors.readable(array.reshape(-1))
        shown.append(one)
    answered = rest.JSON({**told, "outputs": shown})
    if not raws:
        return answered
    head = bytes(answered.body)
    return fastapi.Response(
        b"".join([head, *raws]),
        media_type="application/octet-stream",
        headers={_LENGTH.decode(): str(len(head))},
    )


def _flag(told: dict[str, typing.Any], name: str, default: bool) -> bool:
    given = told.get("parameters") or {}
    value = given.get(name, default) if isinstance(given, dict) else default
    if not isinstance(value, bool):
        raise Refused(400, f"expected true or false for the parameter {name!r}")
    return value
