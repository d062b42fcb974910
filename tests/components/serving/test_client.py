"""The client: against our server, and against one that is busy, gone or speaks something else."""

import http.server
import json
import threading

import pytest
from served_models import png

from conveyor.components.commands.predict import predict_files
from conveyor.components.serving.client import Client, RefusedError
from conveyor.pipeline.errors import UserError


@pytest.fixture
def scripted():
    """Starts servers that answer POST with what they are told, in turn; returns (address, what came)."""
    servers = []

    def started(*answers):
        came = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self._send(200, b"{}")

            def do_POST(self):
                came.append(self.rfile.read(int(self.headers["content-length"])))
                self._send(*answers[min(len(came), len(answers)) - 1])

            def _send(self, status, body):
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.send_header("retry-after", "0")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/v1/models/m", came

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


RIGHT = (200, json.dumps({"predictions": [{"mean": 1.0}]}).encode())
BUSY = (429, b'{"error": "come again"}')


def test_predictions_by_name(start, means):
    client = start({"m": means}, versions=2)
    expected = [{"mean": 10.0, "class_id": 0, "class_name": "dark"}]
    assert Client(f"{client.rest}/v1/models/m/versions/1").predict([png(10)]) == expected
    for address in ("", "/", "/v1/models/m", "/v1/models/m:predict", "/v1/models/m/"):
        assert Client(client.rest + address).predict([png(10)])[0]["mean"] == 110.0


def test_a_token_is_sent(start, means):
    client = start({"m": means}, token="0123456789abcdef")
    assert Client(client.rest, "0123456789abcdef").predict([png(10)])[0]["mean"] == 110.0
    with pytest.raises(UserError, match="HTTP 401"):
        Client(client.rest)


def test_a_busy_server_is_asked_again(scripted):
    url, came = scripted(BUSY, (503, b""), RIGHT)
    assert Client(url).predict([b"x"]) == [{"mean": 1.0}]
    assert len(came) == 3
    assert len(set(came)) == 1


def test_a_server_that_stays_busy_is_given_up(scripted, monkeypatch):
    monkeypatch.setattr("conveyor.components.serving.client._FACTOR", 0.001)
    monkeypatch.setattr("conveyor.components.serving.client._JITTER", 0.001)
    url, came = scripted(BUSY)
    with pytest.raises(RefusedError, match=r"come again \(HTTP 429\)"):
        Client(url).predict([b"x"])
    assert len(came) == 7


@pytest.mark.parametrize(
    "answer",
    [(400, b'{"error": "no image"}'), (500, b"<html>"), (200, b"[1]"), (200, b'{"predictions": []}')],
)
def test_what_is_no_answer_is_not_asked_again(scripted, answer):
    url, came = scripted(answer)
    with pytest.raises(RefusedError, match=f"HTTP {answer[0]}"):
        Client(url).predict([b"x"])
    assert len(came) == 1


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:1/x", "http://127.0.0.1:1/v1/models/a/b"])
def test_an_address_that_is_none(url):
    with pytest.raises(UserError, match="not that of a model"):
        Client(url)


def test_no_server():
    with pytest.raises(UserError, match="no server that answers"):
        Client("http://127.0.0.1:1/v1/models/m")


def test_several_models(start, means):
    client = start({"a": means, "b": means})
    with pytest.raises(UserError) as caught:
        Client(client.rest)
    assert "a, b" in caught.value.fix


def test_files_are_predicted_by_a_server(start, means, tmp_path):
    client = start({"m": means})
    files = [tmp_path / f"{value}.png" for value in (10, 20, 30)]
    for file, value in zip(files, (10, 20, 30), strict=True):
        file.write_bytes(png(value))
    files[1].write_bytes(b"no image")
    rows = list(predict_files(client.rest, [str(file) for file in files], batch_size=2))
    assert [row.get("mean") for row in rows] == [110.0, None, 130.0]
    assert "no image" in rows[1]["error"]
