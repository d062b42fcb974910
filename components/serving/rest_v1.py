"""TensorFlow Serving's REST API: predictions, status and metadata of models.

Source: https://www.tensorflow.org/tfx/serving/api_rest.
"""

import typing

import fastapi
from google.protobuf import json_format

from conveyor.components.serving import rest, tensors
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.front import Counted, answer, signature_of
from conveyor.components.serving.status import states
from conveyor.components.serving.store import Store

_BODY = {
    "type": "object",
    "properties": {
        "signature_name": {"type": "string", "default": "serving_default"},
        "instances": {
            "type": "array",
            "minItems": 1,
            "items": {},
            "description": 'Images, a row each: {"b64": base64 of a PNG or JPEG file}.',
        },
        "inputs": {"description": "The same as one column; instead of instances."},
    },
    "example": {"instances": [{"b64": "iVBORw0KGgo…"}]},
}
_TEXT = rest.describe(_BODY, "`predictions`, one an instance; or `outputs`, of `inputs`.")


PREDICT = rest.direct("/v1/models", ":predict")


def predicting(store: Store) -> rest.Handler:
    """Returns who answers where `PREDICT` is asked."""

    async def predict(name: str, version: str | None, body: bytes, headers: dict[bytes, bytes]) -> rest.JSON:
        with Counted("rest_v1") as counted:
            document = rest.parse_json(body)
            served = rest.served_by(store, name, version)
            counted.model = served.model
            wanted = document.get("signature_name", "") if isinstance(document, dict) else ""
            signature = signature_of(served, wanted if isinstance(wanted, str) else "?")
            rows, is_rows = tensors.from_json(document, signature)
            outputs = await answer(store, served, signature, rows, rest.seconds_given(headers))
            counted.status = 200
            return rest.JSON(tensors.to_json(outputs, is_rows))

    return predict


def add_routes(app: fastapi.FastAPI, store: Store) -> None:
    """Adds the routes of this API; of predictions what they are, see `Guard`."""

    async def predict(name: str, version: str | None = None) -> None:
        """For the OpenAPI document: it is answered before it comes here."""
        raise Refused(404, f"there is no path of model {name[:100]!r}, version {version}, that is written so")

    async def status(name: str, version: str | None = None) -> fastapi.Response:
        found = states(store, name, rest.number_of(version))
        return rest.JSON({"model_version_status": [state.to_json() for state in found]})

    async def metadata(name: str, version: str | None = None) -> fastapi.Response:
        served = rest.served_by(store, name, version)
        told = json_format.MessageToDict(served.version.definitions, preserving_proto_field_name=True)
        spec = {"name": served.model, "signature_name": "", "version": str(served.number)}
        return rest.JSON({"model_spec": spec, "metadata": {"signature_def": told}})

    async def contract(name: str, version: str | None = None) -> fastapi.Response:
        return rest.JSON(rest.served_by(store, name, version).version.contract)

    async def models() -> fastapi.Response:
        return rest.JSON({"models": list(store.models)})

    app.add_api_route("/v1/models", models, tags=["models"], summary="Names of the models")
    handlers: list[tuple[str, typing.Any, dict[str, typing.Any]]] = [
        (":predict", predict, {"methods": ["POST"], "openapi_extra": _TEXT, "summary": "Predict images"}),
        ("", status, {"summary": "Which versions are served"}),
        ("/metadata", metadata, {"summary": "Inputs and outputs, as TensorFlow describes them"}),
        ("/contract", contract, {"summary": "Classes, thresholds and preprocessing"}),
    ]
    for tail, handler, rest_of in handlers:
        for path in ("/v1/models/{name:model}", "/v1/models/{name:model}/versions/{version:model}"):
            app.add_api_route(path + tail, handler, tags=["models"], response_class=rest.JSON, **rest_of)
