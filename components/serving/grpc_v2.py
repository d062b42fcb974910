"""The Open Inference Protocol, version 2, over gRPC, with KServe's own messages and service."""

import typing

import grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from conveyor import __version__
from conveyor.components.serving import open_inference, tensors
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.front import Counted, answer
from conveyor.components.serving.grpc_errors import refusing
from conveyor.components.serving.rest import number_of
from conveyor.components.serving.store import Served, Store

_FIELDS = {
    "BYTES": "bytes_contents",
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "INT8": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


class InferenceService(grpc_predict_v2_pb2_grpc.GRPCInferenceServiceServicer):
    """Health, metadata and inference; which models are served is for whoever starts the server to say.

    Args:
        store: The models.
    """

    def __init__(self, store: Store):
        self._store = store

    async def ServerLive(self, request: typing.Any, context: typing.Any) -> pb.ServerLiveResponse:
        """Tells whether the server runs."""
        del request, context
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: typing.Any, context: typing.Any) -> pb.ServerReadyResponse:
        """Tells whether the server answers."""
        del request, context
        return pb.ServerReadyResponse(ready=self._store.is_ready)

    async def ServerMetadata(self, request: typing.Any, context: typing.Any) -> pb.ServerMetadataResponse:
        """Tells what the server is."""
        del request, context
        return pb.ServerMetadataResponse(name="conveyor", version=__version__)

    @refusing
    async def ModelReady(self, request: pb.ModelReadyRequest, context: typing.Any) -> pb.ModelReadyResponse:
        """Tells whether a model answers."""
        del context
        self._find(request.name, request.version)
        return pb.ModelReadyResponse(ready=True)

    @refusing
    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: typing.Any
    ) -> pb.ModelMetadataResponse:
        """Tells inputs and outputs of a model."""
        del context
        return pb.ModelMetadataResponse(
            **open_inference.describe(self._store, self._find(request.name, request.version))
        )

    @refusing
    async def ModelInfer(
        self, request: pb.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> pb.ModelInferResponse:
        """Answers images or tensors; in binary if they came so."""
        with Counted("grpc_v2") as counted:
            served = self._find(request.model_name, request.model_version)
            counted.model = served.model
            signature, rows = open_inference.find_input(served, _inputs(request))
            outputs = await answer(self._store, served, signature, rows, context.time_remaining())
            outputs = tensors.pick(outputs, [output.name for output in request.outputs])
            response = pb.ModelInferResponse(
                model_name=served.model, model_version=str(served.number), id=request.id
            )
            for name, array in outputs.items():
                _add(response, name, array, bool(request.raw_input_contents))
            counted.status = 200
            return response

    def _find(self, name: str, version: str) -> Served:
        return self._store.model(name).find(number_of(version or None))


def add_service(store: Store, server: typing.Any) -> None:
    """Adds the protocol to a server."""
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(InferenceService(store), server)


def _inputs(request: pb.ModelInferRequest) -> list[open_inference.Input]:
    raws = list(request.raw_input_contents) or [None] * len(request.inputs)
    if len(raws) != len(request.inputs):
        raise Refused(400, f"{len(raws)} binary contents for {len(request.inputs)} inputs")
    return [
        open_inference.Input(one.name, one.datatype, list(one.shape), _contents(one), raw)
        for one, raw in zip(request.inputs, raws, strict=True)
    ]


def _contents(one: typing.Any) -> list[typing.Any]:
    field = _FIELDS.get(one.datatype)
    return list(getattr(one.contents, field)) if field else []


def _add(response: pb.ModelInferResponse, name: str, array: typing.Any, is_raw: bool) -> None:
    kind = open_inference.datatype(array.dtype)
    output = response.outputs.add(name=name, datatype=kind, shape=array.shape)
    if is_raw:
        response.raw_output_contents.append(open_inference.to_raw(array))
    else:
        getattr(output.contents, _FIELDS[kind]).extend(array.ravel().tolist())
