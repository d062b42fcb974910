"""Asks a model server, ours or TensorFlow Serving, over REST."""

import base64
import re
import typing
import urllib.parse

import requests
import requests.adapters
import urllib3

from conveyor.pipeline.errors import UserError

_MODEL = re.compile(r"(/v1/models/[^/:]+(?:/versions/[0-9]+)?)(?::predict)?/?")
_TRIES = 6
_COME_AGAIN = (429, 503)
_FACTOR, _JITTER = 0.2, 0.3  # seconds: waits of 0.2, 0.4, 0.8 and so on, plus as much at random


class RefusedError(Exception):
    """The server does not answer this request; the text says why."""


class Client:
    """Asks one model of a server.

        client = Client("http://127.0.0.1:8501/v1/models/digits")
        client.predict([pathlib.Path("seven.png").read_bytes()])

    A server that is busy or starting is asked again, a few times, at growing intervals.

    Args:
        url: `http://host:port/v1/models/NAME`, with or without `/versions/V`; or `http://host:port` if the
            server has one model.
        token: What the server wants as "Authorization: Bearer …", "" for nothing.
        timeout: Seconds to wait for an answer.

    Raises:
        UserError: The address is none, or there is no server or no such model.
    """

    def __init__(self, url: str, token: str = "", timeout: float = 60.0):
        self._timeout = timeout
        self._session = requests.Session()
        retry = urllib3.Retry(
            total=_TRIES, connect=2, read=0, redirect=0, status_forcelist=_COME_AGAIN, allowed_methods=None,
            backoff_factor=_FACTOR, backoff_jitter=_JITTER, raise_on_status=False,
        )  # fmt: skip
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
        if token:
            self._session.headers["authorization"] = f"Bearer {token}"
        self._url = self._find(url)

    def _find(self, url: str) -> str:
        parts = urllib.parse.urlsplit(url)
        root = f"{parts.scheme}://{parts.netloc}"
        known = _MODEL.fullmatch(parts.path)
        if not parts.netloc or not (known or parts.path in ("", "/")):
            raise UserError(
                "the address is not that of a model", expected="http://HOST:PORT/v1/models/NAME", received=url
            )
        if known:
            self._get(root + known[1], url)
            return root + known[1]
        names = self._get(f"{root}/v1/models", url).get("models", [])
        if len(names) != 1:
            raise UserError(
                "the address does not say which model",
                received=url,
                fix=f"{root}/v1/models/NAME, where NAME is one of {', '.join(map(str, names)) or 'none'}",
            )
        return f"{root}/v1/models/{names[0]}"

    def _get(self, url: str, told: str) -> dict[str, typing.Any]:
        try:
            response = self._session.get(url, timeout=self._timeout)
        except requests.RequestException as error:
            raise UserError("there is no server that answers", received=str(error), where=told) from None
        document = _document(response)
        if response.status_code != requests.codes.ok:
            raise UserError(
                "the server does not answer for this model", received=_reason(response, document), where=told
            )
        return document

    def contract(self) -> dict[str, typing.Any]:
        """Returns what the exporter says of the model: classes, thresholds, preprocessing.

        Raises:
            UserError: The server does not tell, as TensorFlow Serving does not.
        """
        return self._get(f"{self._url}/contract", self._url)

    def outputs(self) -> dict[str, tuple[str, int]]:
        """Returns name -> type, such as "float32", and number of axes of one row, of the model's outputs.

        Raises:
            UserError: The server does not tell.
        """
        import tensorflow as tf
        from tensorflow.core.framework import types_pb2

        document = self._get(f"{self._url}/metadata", self._url)
        try:
            found = document["metadata"]["signature_def"]["signature_def"]["serving_default"]["outputs"]
            return {
                name: (
                    tf.as_dtype(types_pb2.DataType.Value(tensor["dtype"])).name,
                    len(tensor["tensor_shape"].get("dim", [])) - 1,
                )
                for name, tensor in found.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                "the server does not tell its outputs", received=str(error), where=self._url
            ) from None

    def predict(self, images: list[bytes]) -> list[dict[str, typing.Any]]:
        """Returns the outputs for each image, by name.

        Args:
            images: Encoded images, such as the bytes of PNG or JPEG files.

        Raises:
            RefusedError: The server refuses, or does not answer.
        """
        body = {"instances": [{"b64": base64.b64encode(image).decode()} for image in images]}
        try:
            response = self._session.post(f"{self._url}:predict", json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise RefusedError(f"the server does not answer: {error}") from None
        document = _document(response)
        rows = document.get("predictions")
        if (
            response.status_code != requests.codes.ok
            or not isinstance(rows, list)
            or len(rows) != len(images)
        ):
            raise RefusedError(_reason(response, document))
        return [row if isinstance(row, dict) else {"output": row} for row in rows]


def _document(response: requests.Response) -> dict[str, typing.Any]:
    try:
        found = response.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _reason(response: requests.Response, document: dict[str, typing.Any]) -> str:
    told = str(document.get("error", "")).strip() or response.reason
    return f"{told} (HTTP {response.status_code})"
