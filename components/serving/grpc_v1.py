"""TensorFlow Serving's gRPC services: PredictionService and ModelService."""

import typing

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from conveyor.components.serving import tensors
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.front import Counted, answer, signature_of
from conveyor.components.serving.grpc_errors import refusing
from conveyor.components.serving.status import State, states
from conveyor.components.serving.store import Served, Store
from conveyor.pipeline.errors import did_you_mean

_METADATA = "signature_def"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; what is for examples with features is not implemented.

    Args:
        store: The models.
    """

    def __init__(self, store: Store):
        self._store = store

    @refusing
    async def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Answers images or tensors."""
        with Counted("grpc_v1") as counted:
            served = _find(self._store, request.model_spec)
            counted.model = served.model
            signature = signature_of(served, request.model_spec.signature_name)
            if list(request.inputs) != [signature.input]:
                shown = ", ".join(repr(name[:40]) for name in list(request.inputs)[:5]) or "none"
                raise Refused(400, f"expected one input, {signature.input!r}, received {shown}")
            rows = tensors.from_proto(request.inputs[signature.input], signature)
            outputs = await answer(self._store, served, signature, rows, context.time_remaining())
            outputs = tensors.pick(outputs, request.output_filter)
            response = predict_pb2.PredictResponse(model_spec=_spec(served, signature.name))
            for name, array in outputs.items():
                response.outputs[name].CopyFrom(tensors.to_proto(array))
            counted.status = 200
            return response

    @refusing
    async def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Tells the signatures."""
        del context
        for field in request.metadata_field:
            if field != _METADATA:
                raise Refused(
                    400, f"there is no metadata {field[:100]!r}: {did_you_mean(field[:100], [_METADATA])}"
                )
        served = _find(self._store, request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(served))
        response.metadata[_METADATA].Pack(served.version.definitions)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; which models are served is for whoever starts the server to say.

    Args:
        store: The models.
    """

    def __init__(self, store: Store):
        self._store = store

    @refusing
    async def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Tells which versions are served."""
        del context
        found = states(self._store, request.model_spec.name, _number(request.model_spec))
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=map(_status, found))


def _find(store: Store, spec: model_pb2.ModelSpec) -> Served:
    return store.model(spec.name).find(_number(spec))


def _number(spec: model_pb2.ModelSpec) -> int | None:
    if spec.version_label:
        raise Refused(400, "labels of versions are not known here: name a version by its number")
    return spec.version.value if spec.HasField("version") else None


def _spec(served: Served, signature: str = "") -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=served.model, signature_name=signature)
    spec.version.value = served.number
    return spec


def _status(state: State) -> typing.Any:
    kind = get_model_status_pb2.ModelVersionStatus
    found = kind(version=state.number, state=kind.State.Value(state.state))
    if state.error:
        found.status.error_code, found.status.error_message = grpc.StatusCode.INTERNAL.value[0], state.error
    return found
