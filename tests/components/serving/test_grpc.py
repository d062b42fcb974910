"""The server as gRPC clients see it: TensorFlow Serving's own stubs, and KServe's."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from served_models import Client, png
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from conveyor.components.serving import open_inference
from conveyor.components.serving.settings import ServeSettings
from conveyor.components.serving.start import Server

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def client(means):
    server = Server({"m": str(means)}, ServeSettings(port=0, grpc_port=0, versions=2))
    yield Client(server)
    server.stop()
    server.wait()


@pytest.fixture(scope="module")
def channel(client):
    with grpc.insecure_channel(client.grpc) as channel:
        yield channel


@pytest.fixture(scope="module")
def predictions(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def inference(channel):
    return grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def request(*images, name="m", version=None, signature="", field="images"):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name, asked.model_spec.signature_name = name, signature
    if version is not None:
        asked.model_spec.version.value = version
    asked.inputs[field].CopyFrom(tf.make_tensor_proto(list(images)))
    return asked


def test_predict(predictions):
    found = predictions.Predict(request(png(10), png(200), version=1), timeout=30)
    outputs = {name: tf.make_ndarray(tensor).tolist() for name, tensor in found.outputs.items()}
    assert outputs == {"mean": [10.0, 200.0], "class_id": [0, 1], "class_name": [b"dark", b"bright"]}
    assert found.model_spec.name == "m"
    assert found.model_spec.version.value == 1
    assert found.model_spec.signature_name == "serving_default"
    newest = predictions.Predict(request(png(10)), timeout=30)
    assert tf.make_ndarray(newest.outputs["mean"]).tolist() == [110.0]


def test_predict_some_outputs_of_tensors(predictions):
    asked = request(*np.full((1, 4, 4, 1), 5.0).tolist(), version=1, signature="tensors", field="inputs")
    asked.output_filter.append("mean")
    found = predictions.Predict(asked, timeout=30)
    assert {name: tf.make_ndarray(tensor).tolist() for name, tensor in found.outputs.items()} == {
        "mean": [5.0]
    }


def _labelled():
    asked = request(png(10))
    asked.model_spec.version_label = "stable"
    return asked


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (request(png(10), name="n"), "NOT_FOUND", "there is no model 'n': one of: m"),
        (request(png(10), version=9), "NOT_FOUND", "no version 9"),
        (request(png(10), signature="x"), "INVALID_ARGUMENT", "has no signature 'x'"),
        (
            request(png(10), field="image"),
            "INVALID_ARGUMENT",
            "expected one input, 'images', received 'image'",
        ),
        (request(b"hello"), "INVALID_ARGUMENT", "instances[0] is no image"),
        (request(png(10)[:60]), "INVALID_ARGUMENT", "the model cannot read it"),
        (request(png(10), signature="tensors", field="inputs"), "INVALID_ARGUMENT", "expected DT_FLOAT"),
        (_labelled(), "INVALID_ARGUMENT", "labels"),
    ],
)
def test_what_is_refused(predictions, asked, code, message):
    with pytest.raises(grpc.RpcError) as caught:
        predictions.Predict(asked, timeout=30)
    assert caught.value.code() == grpc.StatusCode[code]
    assert message in caught.value.details()


def test_the_deadline_of_a_client_is_kept(predictions):
    with pytest.raises(grpc.RpcError) as caught:
        predictions.Predict(request(png(10)), timeout=0.00001)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_metadata(predictions):
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "m"
    found = predictions.GetModelMetadata(asked, timeout=30)
    definitions = get_model_metadata_pb2.SignatureDefMap()
    found.metadata["signature_def"].Unpack(definitions)
    assert set(definitions.signature_def) == {"serving_default", "tensors"}
    assert found.model_spec.version.value == 2
    asked.metadata_field.append("signatures")
    with pytest.raises(grpc.RpcError, match="there is no metadata 'signatures'"):
        predictions.GetModelMetadata(asked, timeout=30)


def test_status(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "m"
    found = stub.GetModelStatus(asked, timeout=30).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(one.version, one.state) for one in found] == [(2, available), (1, available)]
    asked.model_spec.version.value = 5
    with pytest.raises(grpc.RpcError, match="has no version 5"):
        stub.GetModelStatus(asked, timeout=30)


def test_open_inference_protocol(inference):
    assert inference.ServerLive(pb.ServerLiveRequest(), timeout=30).live
    assert inference.ServerReady(pb.ServerReadyRequest(), timeout=30).ready
    assert inference.ServerMetadata(pb.ServerMetadataRequest(), timeout=30).name == "conveyor"
    assert inference.ModelReady(pb.ModelReadyRequest(name="m"), timeout=30).ready
    described = inference.ModelMetadata(pb.ModelMetadataRequest(name="m"), timeout=30)
    assert list(described.versions) == ["1", "2"]
    assert (described.inputs[0].name, described.inputs[0].datatype) == ("images", "BYTES")
    with pytest.raises(grpc.RpcError, match="there is no model 'n'"):
        inference.ModelReady(pb.ModelReadyRequest(name="n"), timeout=30)


def _infer(**options):
    asked = pb.ModelInferRequest(model_name="m", model_version="1", id="7", **options)
    asked.inputs.add(name="images", datatype="BYTES", shape=[2])
    return asked


def test_infer_with_contents(inference):
    asked = _infer()
    asked.inputs[0].contents.bytes_contents.extend([png(10), png(200)])
    asked.outputs.add(name="class_name")
    found = inference.ModelInfer(asked, timeout=30)
    assert (found.model_name, found.model_version, found.id) == ("m", "1", "7")
    assert [output.name for output in found.outputs] == ["class_name"]
    assert list(found.outputs[0].contents.bytes_contents) == [b"dark", b"bright"]


def test_infer_in_binary(inference):
    raw = open_inference.to_raw(np.array([png(10), png(200)], object))
    found = inference.ModelInfer(_infer(raw_input_contents=[raw]), timeout=30)
    means = [output.name for output in found.outputs].index("mean")
    assert np.frombuffer(found.raw_output_contents[means], np.float32).tolist() == [10.0, 200.0]


@pytest.mark.parametrize("raws", [[b""], [b"\xff\xff\xff\xff"], [b"", b""]])
def test_infer_of_bad_binary(inference, raws):
    with pytest.raises(grpc.RpcError) as caught:
        inference.ModelInfer(_infer(raw_input_contents=raws), timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_token(means):
    server = Server({"m": str(means)}, ServeSettings(port=0, grpc_port=0), TOKEN)
    try:
        with grpc.insecure_channel(server.addresses["grpc"]) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(request(png(10)), timeout=30)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
            found = stub.Predict(
                request(png(10)), timeout=30, metadata=[("authorization", f"Bearer {TOKEN}")]
            )
            assert tf.make_ndarray(found.outputs["mean"]).tolist() == [110.0]
    finally:
        server.stop()
        server.wait()


def test_a_message_that_is_too_large(means):
    server = Server({"m": str(means)}, ServeSettings(port=0, grpc_port=0, max_body=0.01))
    try:
        with grpc.insecure_channel(server.addresses["grpc"]) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Predict(request(b"x" * 20_000), timeout=30)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    finally:
        server.stop()
        server.wait()
