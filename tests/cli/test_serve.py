"""`conveyor serve` as users start and stop it."""

import base64
import json
import os
import signal
import subprocess
import sys

import pytest
import requests
import warm_cli
from served_models import png, save_means

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("serving") / "means"
    base.mkdir()
    save_means(base / "1")
    return base


def serve(*words, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "conveyor", "serve", *map(str, words), "--port", "0", "--grpc-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def read_json(process):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            return json.loads("".join(lines))
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_where_it_is_and_stops_when_told(base, number):
    process = serve(base, "--json")
    try:
        told = read_json(process)
        assert told["models"] == {"means": [1]}
        body = {"instances": [{"b64": base64.b64encode(png(10)).decode()}]}
        found = requests.post(told["rest"] + "/v1/models/means:predict", json=body, timeout=30)
        assert found.json()["predictions"][0]["mean"] == 10.0
        process.send_signal(number)
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("words", "environment", "message"),
    [
        (["absent"], {}, "there is no version that can be served"),
        (["{base}", "-o", "max_bach=3"], {}, "max_batch"),
        (["{base}", "-o", "max_batch=0"], {}, "max_batch"),
        (["{base}", "--host", "256.0.0.1"], {}, "cannot listen on 256.0.0.1"),
        (["{base}", "--token-file", "absent"], {}, "absent"),
        (["{base}"], {"CONVEYOR_SERVE_TOKEN": "short"}, "the token cannot be used"),
    ],
)
def test_what_is_wrong_is_told(base, words, environment, message):
    words = ["serve", *(word.format(base=base) for word in words), "--port", "0", "--grpc-port", "0"]
    done = warm_cli.run(words, {**os.environ, **environment})
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "short" not in done.stderr.replace("the token cannot be used", "")
    assert not done.stdout
