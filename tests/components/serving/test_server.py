"""The server as clients see it: a real one, asked over REST."""

import re
import socket
import threading
import time

import numpy as np
import orjson
import pytest
import requests
from served_models import Client, b64, mean, png, save_maps

from conveyor.components.serving import open_inference
from conveyor.components.serving.settings import ServeSettings
from conveyor.components.serving.start import Server
from conveyor.components.serving.start import start as start_server
from conveyor.pipeline.errors import UserError


@pytest.fixture(scope="module")
def shared(means):
    """One server for tests that leave it as it was."""
    server = Server({"m": str(means)}, ServeSettings(port=0, grpc_port=0))
    yield Client(server)
    server.stop()
    server.wait()


def answer(mean, kind):
    return {"mean": float(mean), "class_id": kind, "class_name": ["dark", "bright"][kind]}


def test_predictions_as_tensorflow_serving_words_them(start, means):
    client = start({"m": means}, versions=2)
    images = [b64(png(10)), b64(png(200))]
    found = client.post("/v1/models/m/versions/1:predict", {"instances": images})
    assert found.status_code == 200
    assert found.headers["content-type"] == "application/json"
    assert found.json() == {"predictions": [answer(10, 0), answer(200, 1)]}
    newest = client.post("/v1/models/m:predict", {"instances": images[:1]})
    assert newest.json() == {"predictions": [answer(110, 0)]}
    columns = client.post("/v1/models/m/versions/1:predict", {"inputs": {"images": images}})
    assert columns.json() == {
        "outputs": {"mean": [10.0, 200.0], "class_id": [0, 1], "class_name": ["dark", "bright"]}
    }
    tensors = {"signature_name": "tensors", "instances": np.full((1, 4, 4, 1), 5.0).tolist()}
    assert client.post("/v1/models/m/versions/1:predict", tensors).json() == {"predictions": [answer(5, 0)]}


def test_status_and_metadata_as_tensorflow_serving_words_them(start, means):
    client = start({"m": means}, versions=2)
    ok = {"error_code": "OK", "error_message": ""}
    states = [{"version": number, "state": "AVAILABLE", "status": ok} for number in ("2", "1")]
    assert client.get("/v1/models/m").json() == {"model_version_status": states}
    assert client.get("/v1/models/m/versions/1").json() == {"model_version_status": states[1:]}
    found = client.get("/v1/models/m/versions/1/metadata").json()
    assert found["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    default = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["inputs"]["images"]["dtype"] == "DT_STRING"
    assert set(default["outputs"]) == {"mean", "class_id", "class_name"}
    assert client.get("/v1/models/m/contract").json()["classes"] == ["dark", "bright"]
    assert client.get("/v1/models").json() == {"models": ["m"]}


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/n:predict", {"instances": [1]}, 404, "there is no model 'n': one of: m"),
        ("/v1/models/m/versions/9:predict", {"instances": [1]}, 404, "no version 9 that is served, but 2"),
        ("/v1/models/m/versions/x:predict", {"instances": [1]}, 404, "expected a whole number"),
        ("/v1/models/m/versions/" + "9" * 40 + ":predict", {}, 404, "expected a whole number"),
        ("/v1/models/m:predict", {"instances": []}, 400, "is empty"),
        ("/v1/models/m:predict", {"instances": [b64(b"hello")]}, 400, "instances[0] is no image"),
        ("/v1/models/m:predict", {"instances": [b64(png(1)[:60])]}, 400, "the model cannot read it"),
        (
            "/v1/models/m:predict",
            {"instances": [b64(png(0, (7100, 7100)))]},
            400,
            "at most 50,000,000 pixels",
        ),
        ("/v1/models/m:predict", {"instances": [b64(png(1))] * 300}, 400, "at most 256 images"),
        (
            "/v1/models/m:predict",
            {"signature_name": "tensor", "instances": [1]},
            400,
            "did you mean 'tensors'",
        ),
        ("/v1/models/m:predict", {"signature_name": 5, "instances": [1]}, 400, "no signature '?'"),
        ("/v1/models/m:predict%0A", {"instances": [b64(png(1))]}, 404, "there is no path"),
        ("/v1/models/m:classify", {}, 404, "/openapi.json lists what there is"),
        ("/v2/models/m/infer", {"inputs": []}, 400, "expected one input"),
    ],
)
def test_what_is_refused(shared, path, body, status, message):
    found = shared.post(path, body)
    assert found.status_code == status
    assert message in found.json()["error"]
    assert list(found.json()) == ["error"]


def test_bodies_that_are_refused(shared):
    path = "/v1/models/m:predict"
    assert shared.post(path, data=b"{").json()["error"].startswith("the body is no JSON")
    assert shared.post(path, data=b"[" * 100_000).status_code == 400
    assert shared.post(path, data=b"{}", headers={"content-encoding": "gzip"}).status_code == 415
    assert shared.get(path).status_code == 405
    assert "bytes" in shared.post(path, data=b"x" * (33 << 20)).json()["error"]
    told = requests.post(
        shared.rest + path, data=(b"x" * (1 << 20) for _ in range(33)), timeout=30
    )  # chunked
    assert told.status_code == 413


def test_json_of_10_megabytes_is_read(shared):
    body = {"signature_name": "tensors", "instances": np.full((40_000, 4, 4, 1), 0.123456789).tolist()}
    found = shared.post("/v1/models/m:predict", body)
    assert found.status_code == 400
    assert "at most 256 images" in found.json()["error"]


def test_a_bad_image_hurts_nobody_else(shared):
    images = [png(value) for value in range(24)]
    images[7] = png(7)[:60]  # its head is that of an image
    found = {}

    def ask(at):
        found[at] = shared.post("/v1/models/m:predict", {"instances": [b64(images[at])]})

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at, response in found.items():
        if at == 7:
            assert response.status_code == 400
        else:
            assert response.json() == {"predictions": [answer(at + 100, 0)]}


def test_images_of_different_sizes(start, tmp_path):
    client = start({"maps": save_maps(tmp_path / "1").parent})
    images = [png(1, (2, 3)), png(2, (3, 2)), png(3, (2, 3))]

    def ask(*chosen):
        return client.post("/v1/models/maps:predict", {"instances": [b64(image) for image in chosen]}).json()

    alone = [ask(image)["predictions"][0] for image in images]
    assert alone[0] == {"class_map": [[1, 1, 1], [1, 1, 1]], "sizes": [2, 3]}
    results = {}
    threads = [
        threading.Thread(target=lambda at=at: results.update({at: ask(images[at % 3])})) for at in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at, found in results.items():
        assert found == {"predictions": [alone[at % 3]]}  # not filled up for the sake of others
    together = ask(*images)["predictions"]  # as TensorFlow Serving answers them
    assert together[1] == {"class_map": [[2, 2, 255], [2, 2, 255], [2, 2, 255]], "sizes": [3, 2]}


def test_a_token(start, means):
    client = start({"m": means}, token="0123456789abcdef")
    body = {"instances": [b64(png(10))]}
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "0123456789abcdef"}):
        found = client.post("/v1/models/m:predict", body, headers=headers)
        assert found.status_code == 401
        assert found.headers["www-authenticate"] == "Bearer"
    right = {"authorization": "Bearer 0123456789abcdef"}
    assert client.post("/v1/models/m:predict", body, headers=right).status_code == 200
    assert client.get("/metrics").status_code == 401
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/").status_code == 200


def test_several_models(start, means, tmp_path):
    client = start({"m": means, "maps": save_maps(tmp_path / "1").parent})
    assert client.get("/v1/models").json() == {"models": ["m", "maps"]}
    assert client.server.addresses["models"] == {"m": [2], "maps": [1]}
    body = {"instances": [b64(png(4, (1, 1)))]}
    assert client.post("/v1/models/maps:predict", body).json() == {
        "predictions": [{"class_map": [[4]], "sizes": [1, 1]}]
    }


def test_one_exported_model_is_version_1(start, means):
    client = start({"m": means / "2"})
    assert client.server.addresses["models"] == {"m": [1]}
    assert mean(client) == 110


def test_open_inference_protocol(start, means):
    client = start({"m": means})
    assert client.get("/v2").json()["name"] == "conveyor"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/models/m/ready").json() == {"name": "m", "ready": True}
    described = client.get("/v2/models/m/versions/2").json()
    assert described["versions"] == ["2"]
    assert described["inputs"] == [{"name": "images", "datatype": "BYTES", "shape": [-1]}]
    assert {"name": "mean", "datatype": "FP32", "shape": [-1]} in described["outputs"]
    text = {"name": "images", "shape": [1], "datatype": "BYTES", "data": [b64(png(10))["b64"]]}
    found = client.post("/v2/models/m/infer", {"id": "7", "inputs": [text], "outputs": [{"name": "mean"}]})
    assert found.json() == {
        "model_name": "m",
        "model_version": "2",
        "id": "7",
        "outputs": [{"name": "mean", "datatype": "FP32", "shape": [1], "data": [110.0]}],
    }
    numbers = {"name": "inputs", "shape": [1, 4, 4, 1], "datatype": "FP32", "data": [5.0] * 16}
    found = client.post("/v2/models/m/infer", {"inputs": [numbers]}).json()
    assert {one["name"]: one["data"] for one in found["outputs"]}["mean"] == [105.0]


def test_open_inference_protocol_with_binary_data(start, means):
    client = start({"m": means})
    raw = open_inference.to_raw(np.array([png(10), png(20)], object))
    head = {"name": "images", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    text = requests.models.complexjson.dumps({"inputs": [head]}).encode()
    path, length = "/v2/models/m/infer", {"inference-header-content-length": str(len(text))}
    found = client.post(path, data=text + raw, headers=length).json()
    assert {one["name"]: one["data"] for one in found["outputs"]}["mean"] == [110.0, 120.0]
    short = client.post(path, data=text + raw[:-1], headers=length)
    assert short.status_code == 400
    assert "binary_data_size" in short.json()["error"]
    assert client.post(path, data=text, headers={"inference-header-content-length": "x"}).status_code == 400


def test_open_inference_protocol_answers_in_binary_data(start, means):
    client = start({"m": means})
    numbers = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)
    given = {"name": "inputs", "shape": [2, 4, 4, 1], "datatype": "FP32", "data": numbers.ravel().tolist()}

    def ask(**more):
        return client.post("/v2/models/m/infer", {"inputs": [given], **more})

    plain = {one["name"]: one for one in ask().json()["outputs"]}
    found = ask(parameters={"binary_data_output": True}, id="7")
    assert found.headers["content-type"] == "application/octet-stream"
    length = int(found.headers["inference-header-content-length"])
    head, rest = orjson.loads(found.content[:length]), found.content[length:]
    assert (head["model_name"], head["id"]) == ("m", "7")
    assert {one["name"] for one in head["outputs"]} == set(plain)
    for one in head["outputs"]:
        raw, rest = np.split(np.frombuffer(rest, np.uint8), [one["parameters"]["binary_data_size"]])
        expected = plain[one["name"]]
        assert (one["shape"], one["datatype"]) == (expected["shape"], expected["datatype"])
        if one["datatype"] == "FP32":
            np.testing.assert_array_equal(raw.view("<f4"), expected["data"])
    assert len(rest) == 0

    mean = {"name": "mean", "parameters": {"binary_data": False}}
    assert ask(outputs=[mean], parameters={"binary_data_output": True}).json()["outputs"] == [plain["mean"]]
    only = ask(outputs=[{"name": "mean", "parameters": {"binary_data": True}}])
    assert only.content.endswith(np.array(plain["mean"]["data"], "<f4").tobytes())
    for wrong in ({"parameters": {"binary_data_output": 1}}, {"outputs": [3]}, {"outputs": [{"name": 3}]}):
        assert ask(**wrong).status_code == 400


def test_a_deadline_that_is_over(start, means):
    client = start({"m": means})
    headers = {"x-envoy-expected-rq-timeout-ms": "0"}
    found = client.post("/v1/models/m:predict", {"instances": [b64(png(10))]}, headers=headers)
    assert found.status_code == 504
    assert mean(client) == 110


def test_bodies_under_way_are_bounded(start, means):
    client = start({"m": means}, max_bodies=0.001)
    body = {"instances": [b64(png(10))] * 50}
    found = client.post("/v1/models/m:predict", body)
    assert found.status_code == 429
    assert found.headers["retry-after"] == "1"
    assert mean(client) == 110  # room is given back


def test_slow_clients_do_not_hold_connections(start, means):
    client = start({"m": means}, read_timeout=0.5)
    address = ("127.0.0.1", int(client.rest.rpartition(":")[2]))
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n"
    for sent in (b"", head, head + b"\r\n{"):
        with socket.create_connection(address, timeout=10) as one:
            one.sendall(sent)
            started = time.monotonic()
            told = one.recv(4096)
            assert time.monotonic() - started < 5
            assert told == b"" or told.startswith(b"HTTP/1.1 408")
    assert mean(client) == 110


def test_clients_that_leave_in_mid_request(start, means):
    client = start({"m": means})
    address = ("127.0.0.1", int(client.rest.rpartition(":")[2]))
    body = requests.models.complexjson.dumps({"instances": [b64(png(10))]}).encode()
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    for sent in (head[:20], head, head + body[:-5], head + body):
        with socket.create_connection(address, timeout=10) as one:
            one.sendall(sent)
    assert mean(client) == 110


def test_metrics_and_openapi(start, means):
    client = start({"m": means})
    mean(client)
    client.post("/v1/models/m:predict", {"instances": [b64(b"no")]})
    client.post("/v1/models/<script>:predict", {"instances": [b64(b"no")]})
    text = client.get("/metrics").text
    assert re.search(r'conveyor_requests_total\{api="rest_v1",model="m",status="200"\} [1-9]', text)
    assert re.search(r'conveyor_requests_total\{api="rest_v1",model="m",status="400"\} [1-9]', text)
    assert "<script>" not in text  # no label comes from a client
    assert 'conveyor_batch_images_count{version="m/2"}' in text
    paths = client.get("/openapi.json").json()["paths"]
    assert "post" in paths["/v1/models/{name}:predict"]
    assert "post" in paths["/v2/models/{name}/versions/{version}/infer"]


def test_the_page_comes_from_nowhere_else(shared):
    found = shared.get("/")
    assert found.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert not re.search(r"https?://", found.text)


def test_stopping_answers_what_is_under_way(means):
    server = Server({"m": str(means)}, ServeSettings(port=0, grpc_port=0, max_delay=500.0))
    found = []

    def ask():
        body = {"instances": [b64(png(10))]}
        found.append(requests.post(server.addresses["rest"] + "/v1/models/m:predict", json=body, timeout=30))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.25)
    server.stop()
    server.wait()
    asking.join()
    assert found[0].json()["predictions"][0]["mean"] == 110
    with pytest.raises(requests.ConnectionError):
        requests.get(server.addresses["rest"], timeout=5)


# === what cannot be started ===


def test_nothing_to_serve(tmp_path):
    with pytest.raises(UserError) as caught:
        Server({"m": str(tmp_path)}, ServeSettings(port=0, grpc_port=0))
    assert caught.value.what == "there is no version that can be served"
    assert caught.value.where == str(tmp_path)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(UserError) as caught:
        Server({"m": str(tmp_path)}, ServeSettings(port=0, grpc_port=0))
    assert "version 1: the version cannot be loaded" in caught.value.received


@pytest.mark.parametrize("which", ["port", "grpc_port"])
def test_a_port_that_is_taken(means, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"port": 0, "grpc_port": 0, which: taken.getsockname()[1]}
        with pytest.raises(UserError) as caught:
            Server({"m": str(means)}, ServeSettings(**ports))
    assert f"cannot listen on 127.0.0.1:{ports[which]}" in caught.value.what
    assert which.replace("_", "-") in caught.value.fix


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["a/m", "b/m"], "two models are called 'm'"),
        (["a b"], "cannot have this name"),
        (["=x"], "cannot have this name"),
    ],
)
def test_odd_names(words, what):
    with pytest.raises(UserError, match=what):
        start_server(words, ServeSettings())
