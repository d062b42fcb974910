"""What REST handlers share: bodies, deadlines, errors, and which version a path means."""

import hmac
import re
import typing
from collections.abc import Awaitable, Callable

import fastapi
import orjson
import starlette.convertors
from absl import logging
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conveyor.components.serving.errors import BROKEN, Refused
from conveyor.components.serving.settings import MEGABYTE, ServeSettings
from conveyor.components.serving.store import Served, Store

_OPEN = ("/", "/v2/health/live", "/v2/health/ready")  # without a token: the page holds no data
_TIMEOUT = b"x-envoy-expected-rq-timeout-ms"  # which proxies in front of model servers set
_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_MOST_DIGITS = 18


Handler = Callable[[str, str | None, bytes, dict[bytes, bytes]], Awaitable[fastapi.Response]]


class _Name(starlette.convertors.StringConvertor):
    """What is between slashes, without the verb that a colon begins: `{name:model}` in paths."""

    regex = "[^/:]+"


starlette.convertors.register_url_convertor("model", _Name())


_STATUSES = ("400", "401", "404", "413", "415", "429", "503", "504")


def describe(body: dict[str, typing.Any], answer: str) -> dict[str, typing.Any]:
    """Returns what the OpenAPI document says of predictions.

    Args:
        body: Schema of what is sent.
        answer: What comes back.
    """
    refused = {status: {"description": "`error` says why."} for status in _STATUSES}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {"description": answer}, **refused},
    }


class JSON(fastapi.Response):
    """An answer that may hold NumPy arrays."""

    media_type = "application/json"

    def render(self, content: typing.Any) -> bytes:
        """Returns its bytes."""
        return orjson.dumps(content, option=_JSON)


def refusal(error: Refused) -> JSON:
    """Returns the answer to a request that is refused, as TensorFlow Serving words it."""
    headers = {429: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}.get(error.status)
    return JSON({"error": str(error)}, error.status, headers)


def served_by(store: Store, name: str, version: str | None) -> Served:
    """Returns the version that a path names.

    Raises:
        Refused: It is not served.
    """
    return store.model(name).find(number_of(version))


def number_of(version: str | None) -> int | None:
    """Returns the version that a path names, None for none.

    Raises:
        Refused: It is no number.
    """
    if version is None:
        return None
    if not (version.isascii() and version.isdigit() and len(version) <= _MOST_DIGITS):
        raise Refused(404, f"expected a whole number for the version, received {version[:50]!r}")
    return int(version)


def parse_json(body: bytes) -> typing.Any:
    """Returns what JSON text holds.

    Raises:
        Refused: It is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is no JSON: {error}") from None


def seconds_given(headers: dict[bytes, bytes]) -> float | None:
    """Returns how long a client waits for its answer, None if it does not say."""
    told = headers.get(_TIMEOUT, b"")
    return int(told) / 1000 if told.isdigit() and len(told) < _MOST_DIGITS else None


def direct(prefix: str, tail: str) -> re.Pattern[str]:
    """Returns the pattern of the paths of predictions."""
    return re.compile(f"{prefix}/(?P<name>[^/:]+)(?:/versions/(?P<version>[^/:]+))?{tail}")


class Guard:
    """Stands before all handlers: token, size of bodies, and no traceback to anyone.

    Args:
        app: What it guards.
        settings: Of the server.
        token: Which clients must send; "" for none.
        predictions: Pattern of a path -> who answers POST there, past the app, whose routing takes as long.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServeSettings,
        token: str,
        predictions: dict[re.Pattern[str], Handler],
    ):
        self._app = app
        self._predictions = list(predictions.items())
        self._settings = settings
        self._expected = f"Bearer {token}".encode() if token else b""
        self._room = int(settings.max_bodies * MEGABYTE)  # bytes that may still come

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        try:
            await self._answer(scope, receive, send, chunks)
        except Refused as error:
            await refusal(error)(scope, receive, send)
        except _Gone:
            pass
        finally:
            self._room += sum(map(len, chunks))

    async def _answer(self, scope: Scope, receive: Receive, send: Send, chunks: list[bytes]) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        headers = dict(scope["headers"])
        self._admit(scope["path"], headers)
        await self._read(headers, receive, chunks)
        body = b"".join(chunks)
        try:
            if scope["method"] == "POST":
                for pattern, handler in self._predictions:
                    if found := pattern.fullmatch(scope["path"]):
                        response = await handler(found["name"], found["version"], body, headers)
                        await response(scope, receive, watched)
                        return
            await self._app(scope, _replayed(body, receive), watched)
        except Refused:
            raise
        except Exception:  # the boundary: nothing above it could tell the client
            logging.exception("%s %s failed", scope["method"], scope["path"][:200])
            if not started:
                raise Refused(500, BROKEN) from None

    def _admit(self, path: str, headers: dict[bytes, bytes]) -> None:
        token = headers.get(b"authorization", b"")
        if self._expected and path not in _OPEN and not hmac.compare_digest(token, self._expected):
            raise Refused(401, "expected a header 'Authorization: Bearer …' with the token of this server")
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Refused(415, "expected a body that is not compressed")

    async def _read(self, headers: dict[bytes, bytes], receive: Receive, chunks: list[bytes]) -> None:
        """Fills in the body."""
        most, size = self._settings.body_bytes, int(headers.get(b"content-length", b"0"))
        more, read = True, 0
        while more:
            if max(size, read) > most:
                raise Refused(413, f"expected a body of at most {most:,} bytes")
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            chunk, more = message.get("body", b""), message.get("more_body", False)
            if len(chunk) > self._room:
                raise Refused(429, "too many requests are being answered: come again in a moment")
            self._room -= len(chunk)
            chunks.append(chunk)
            read += len(chunk)


class _Gone(Exception):  # noqa: N818  (nobody is to be told)
    """The client has gone."""


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Returns what gives a body that was read, and then what comes after it."""
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
