"""The model server in a process of its own, asked over gRPC and REST."""

import base64
import contextlib
import json
import math
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time
import typing

import grpc
import numpy as np
import orjson
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

NAME = "model"
_START = 600.0  # seconds that a server may take to load a model, on a machine that is busy
_ANSWER = 3600.0  # seconds that a batch may take
_MOST_PIXELS = 2_000_000_000  # a batch of the evaluator may be larger than one of clients
_LARGEST_MB = 1024


class NotServedError(Exception):
    """The server does not start, or does not answer; the text says why."""


class ModelServer:
    """`conveyor serve` of one exported model.

    Args:
        saved_model: The SavedModel.
        batch_size: Images of a request; the server takes them as one batch.
        fork: Whether this process has imported the libraries and done nothing with them yet. Then that of the
            server is forked from it, and need not import them again.
    """

    def __init__(self, saved_model: pathlib.Path, batch_size: int, fork: bool = False):
        settings = {
            "max_batch": batch_size,
            "max_instances": batch_size,
            "max_body": _LARGEST_MB,
            "max_bodies": 2 * _LARGEST_MB,
            "max_pixels": _MOST_PIXELS,
            "timeout": _ANSWER,
            "read_timeout": _ANSWER,
        }
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        ports = ["--port", "0", "--grpc-port", "0"]
        model = f"{NAME}={saved_model.absolute()}"
        self._words = ["serve", model, *ports, "--json", "--until-eof", *options]
        self._fork = fork
        self.cold_start = math.nan
        self.times: list[float] = []

    def __enter__(self) -> "ModelServer":
        self._stack = contextlib.ExitStack()
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: typing.Any) -> None:
        self._stack.close()

    def _start(self) -> None:
        began = time.monotonic()
        self._log = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._process = (_forked if self._fork else _new)(self._words, self._log.fileno())
        self._stack.callback(self._end)
        told = self._read_announcement()
        if "rest" not in told:
            raise NotServedError(
                "; ".join(filter(None, (told["error"][key] for key in ("what", "received"))))
            )
        self.cold_start = time.monotonic() - began
        self._url = f"{told['rest']}/v1/models/{NAME}:predict"
        self._session = self._stack.enter_context(requests.Session())
        self._session.trust_env = False  # no proxy stands between a machine and itself
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),
        ]
        channel = self._stack.enter_context(grpc.insecure_channel(told["grpc"], options))
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict

    def _read_announcement(self) -> dict[str, typing.Any]:
        stdout = typing.cast(typing.IO[bytes], self._process.stdout)
        alarm = threading.Timer(_START, self._process.kill)
        alarm.start()
        try:
            lines: list[bytes] = []
            while not lines or lines[-1] not in (b"}\n", b""):
                lines.append(stdout.readline())
            return json.loads(b"".join(lines))
        except ValueError:
            self._process.wait()
            raise NotServedError(self._said()) from None
        finally:
            alarm.cancel()

    def _said(self) -> str:
        """Returns what the server complained of, in one line."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        told = [line.strip().removeprefix("conveyor: ") for line in lines]
        return (
            "; ".join(" ".join(line.split()) for line in told if line)[-400:]
            or f"exit code {self._process.returncode}"
        )

    def _end(self) -> None:
        """Closes its standard input, which ends it."""
        typing.cast(typing.IO[bytes], self._process.stdin).close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        typing.cast(typing.IO[bytes], self._process.stdout).close()

    def by_grpc(self, images: tf.Tensor) -> dict[str, np.ndarray]:
        """Returns the outputs for encoded images, string [n].

        Raises:
            NotServedError: The server refuses.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name = NAME
        request.inputs["images"].CopyFrom(tf.make_tensor_proto(images.numpy()))
        try:
            response = self._predict(request, timeout=_ANSWER)
        except grpc.RpcError as error:
            raise NotServedError(f"gRPC: {error.details()}") from None
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    def by_rest(self, images: tf.Tensor, like: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Returns the outputs for encoded images, string [n].

        Args:
            images: The images.
            like: Outputs by gRPC, of the same types, which JSON lacks; None if the outputs are not wanted.

        Raises:
            NotServedError: The server refuses.
        """
        inputs = [{"b64": base64.b64encode(image).decode()} for image in images.numpy()]
        began = time.perf_counter()
        response = self._session.post(self._url, data=orjson.dumps({"inputs": inputs}), timeout=_ANSWER)
        self.times.append(time.perf_counter() - began)
        document = orjson.loads(response.content)
        if response.status_code != requests.codes.ok:
            raise NotServedError(f"REST: {document.get('error', response.status_code)}")
        if like is None:
            return {}
        outputs = document["outputs"] if len(like) > 1 else {next(iter(like)): document["outputs"]}
        return {name: _array(values, like[name]) for name, values in outputs.items() if name in like}

    def memory(self) -> float:
        """Returns the most memory that ended servers of this process have held, in MB."""
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _new(words: list[str], stderr: int) -> typing.Any:
    """Starts a command of this package in a new interpreter."""
    command = [sys.executable, "-m", "conveyor", *words]
    return subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
    )


def _forked(words: list[str], stderr: int) -> typing.Any:
    from conveyor.components.infra_validator.forked import Forked

    return Forked(words, stderr)


def _array(values: typing.Any, like: np.ndarray) -> np.ndarray:
    """Returns values of JSON as an array of a type; null, which stands for what is no number, as NaN."""
    found = np.array(values, object)
    if like.dtype == object:
        return np.array([text.encode() for text in found.ravel()], object).reshape(found.shape)
    return found.astype(np.float64 if like.dtype.kind == "f" else like.dtype).astype(like.dtype)
