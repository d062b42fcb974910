"""Runs the model server: REST and gRPC in one process and one event loop, until it is told to stop."""

import asyncio
import concurrent.futures
import contextlib
import gc
import importlib.util
import logging
import socket
import sys
import typing

import grpc
import uvicorn
import uvloop
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from conveyor.components.serving.app import build_app
from conveyor.components.serving.grpc_errors import TokenInterceptor
from conveyor.components.serving.grpc_v1 import ModelService, PredictionService
from conveyor.components.serving.grpc_v2_lazy import LazyInferenceService
from conveyor.components.serving.settings import ServeSettings
from conveyor.components.serving.store import Store
from conveyor.pipeline.errors import UserError

_SWITCH = 0.0005  # seconds that a thread keeps Python to itself: the loop must not wait for batches
_KEEP_ALIVE = 75  # seconds that an idle connection is kept
_SLOW = b'{"error": "the request was sent too slowly"}'
_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_SLOW), _SLOW)
)


class Running:
    """A server whose models all answer.

    Args:
        addresses: `rest` and `grpc`, and `models`, name -> versions.
        loop: What it runs in.
        stopping: Is set to end it.
    """

    def __init__(
        self, addresses: dict[str, typing.Any], loop: asyncio.AbstractEventLoop, stopping: asyncio.Event
    ):
        self.addresses = addresses
        self.outcome: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop = loop
        self._stopping = stopping

    def stop(self) -> None:
        """Lets what is under way be answered, and ends the server; from any thread."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stopping.set)


def run_loop(
    bases: dict[str, str], settings: ServeSettings, token: str, ready: "concurrent.futures.Future[Running]"
) -> None:
    """Serves models until it is told to stop, and then until what is under way is answered.

    Args:
        bases: Name -> folder of versions, see `Model`.
        settings: Where to listen, and limits.
        token: Which clients must send, "" for none.
        ready: Is given the server once all models answer, or the error if they do not.
    """
    sys.setswitchinterval(_SWITCH)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    gc.freeze()  # what is imported stays: only models need be looked through when one is let go
    try:
        uvloop.run(_serve(bases, settings, token, ready))
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        else:
            ready.result().outcome.set_exception(error)
    else:
        ready.result().outcome.set_result(None)


async def _serve(
    bases: dict[str, str], settings: ServeSettings, token: str, ready: "concurrent.futures.Future[Running]"
) -> None:
    listener = _listen(settings)
    store = Store(bases, settings)
    try:
        calls = _grpc_server(store, token)
        grpc_port = _bind(calls, settings)
        await store.open()
        await calls.start()
        web = _Web(store, token)
        running = asyncio.create_task(web.serve(sockets=[listener]))
        while not web.started and not running.done():
            await asyncio.sleep(0.01)
        addresses = {
            "rest": f"http://{_bracketed(settings.host)}:{listener.getsockname()[1]}",
            "grpc": f"{_bracketed(settings.host)}:{grpc_port}",
            "models": {name: sorted(model.served) for name, model in store.models.items()},
        }
        stopping = asyncio.Event()
        ready.set_result(Running(addresses, asyncio.get_running_loop(), stopping))
        await _until(stopping, running, asyncio.create_task(store.watch()))
        store.is_ready = False
        web.should_exit = True
        await asyncio.gather(running, calls.stop(settings.drain))
        await store.close()
    finally:
        listener.close()


async def _until(stopping: asyncio.Event, *tasks: "asyncio.Task[None]") -> None:
    """Returns when the server is told to stop, or one of its tasks has ended."""
    stopped = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    tasks[-1].cancel()
    for task in done:
        task.result()


class _Web(uvicorn.Server):
    """The HTTP server; signals are not its business."""

    def __init__(self, store: Store, token: str):
        settings = store.settings
        timeout = settings.read_timeout

        class Protocol(_InTime):
            read_timeout = timeout

        super().__init__(
            uvicorn.Config(
                build_app(store, token),
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=settings.max_connections,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=max(1, round(settings.drain)),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> typing.Iterator[None]:
        """Leaves them to whoever runs the server."""
        yield


class _InTime(HttpToolsProtocol):
    """HTTP that gives a client so long for a whole request: who dribbles bytes does not hold a connection."""

    read_timeout: float

    def __init__(self, *args: typing.Any, **options: typing.Any):
        super().__init__(*args, **options)
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._arm()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()

    def _arm(self) -> None:
        self._disarm()
        self._late = self.loop.call_later(self.read_timeout, self._give_up)

    def _disarm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_LATE)
            self.transport.close()


def _listen(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise _taken(f"{settings.host}:{settings.port}", error.strerror or str(error), "--port") from None
    return listener


def _grpc_server(store: Store, token: str) -> grpc.aio.Server:
    settings = store.settings
    server = grpc.aio.server(
        interceptors=[TokenInterceptor(token)] if token else [],
        options=[
            ("grpc.max_receive_message_length", settings.body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
        maximum_concurrent_rpcs=settings.max_connections,
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(store), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(store), server)
    if importlib.util.find_spec("kserve"):
        server.add_generic_rpc_handlers((LazyInferenceService(store),))
    return server


def _bind(server: grpc.aio.Server, settings: ServeSettings) -> int:
    address = f"{_bracketed(settings.host)}:{settings.grpc_port}"
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise _taken(address, str(error).partition("\n")[0], "--grpc-port") from None


def _taken(address: str, reason: str, option: str) -> UserError:
    return UserError(
        f"the server cannot listen on {address}", received=reason, fix=f"choose another {option}, 0 for any"
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
