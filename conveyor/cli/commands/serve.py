"""Serve exported models, as TensorFlow Serving does, and by the Open Inference Protocol.

A model is a folder of integer versions, such as `conveyor run` pushes to, or one exported model. New
versions are served as soon as they are there, and no request is dropped. Ctrl-C stops it.

  conveyor serve workspace/serving/digits_cnn

The page at http://127.0.0.1:8501 shows what a model makes of an image. Where a token is set, by
--token-file or CONVEYOR_SERVE_TOKEN, clients must send it.
"""

import argparse
import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import TOKEN, add_overrides
from conveyor.cli.output import say
from conveyor.pipeline.errors import UserError

_LEAST = 16  # characters of a token


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "models",
        metavar="[NAME=]BASE",
        nargs="+",
        help="local, gs:// or s3://; the folder's name unless told",
    )
    parser.add_argument("--host", metavar="H", help="127.0.0.1 unless told; 0.0.0.0 for all addresses")
    parser.add_argument("--port", metavar="P", help="of REST: 8501 unless told; 0 for any")
    parser.add_argument("--grpc-port", metavar="P", help="of gRPC: 8500 unless told; 0 for any")
    parser.add_argument("--token-file", metavar="FILE", help=f"holds the token; or ${TOKEN} is it")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    add_overrides(parser, "a setting, such as max_batch=64")


class Serving(dict[str, Any]):
    """The addresses of a server, and the server."""

    server: Any


def run(arguments: argparse.Namespace) -> Serving:
    """Starts a server.

    Returns:
        `rest` and `grpc`, its addresses, and `models`, name -> versions.

    Raises:
        UserError: There is nothing to serve, a setting is wrong, or a port is taken.
    """
    from conveyor.cli.quiet import quiet_tensorflow

    if arguments.until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()
    quiet_tensorflow()
    from conveyor.components.serving.settings import ServeSettings
    from conveyor.pipeline.config import parse_config

    settings = parse_config("", "conveyor serve", ServeSettings, [*arguments.overrides, *_options(arguments)])
    token = _token(arguments.token_file)
    from conveyor.components.serving.start import start

    serving = Serving()
    serving.server = start(arguments.models, settings, token)
    serving.update(serving.server.addresses)
    return serving


def show(serving: Serving) -> Iterator[str]:
    """Yields where the models are."""
    for name, versions in serving["models"].items():
        yield f"{name}: version {', '.join(map(str, versions))}"
    yield f"REST, and a page to try a model: {serving['rest']}"
    yield f"gRPC: {serving['grpc']}"
    if not importlib.util.find_spec("kserve"):
        yield "without the Open Inference Protocol over gRPC, for which: pip install 'conveyor[serve]'"


def finish(serving: Serving) -> int:
    """Waits until the server is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: serving.server.stop())
    try:
        serving.server.wait()
    except KeyboardInterrupt:
        say("conveyor: answering what is under way, then stopping")
        serving.server.stop()
        serving.server.wait()
    return 0


def _end_with_input() -> None:
    """Ends this process, as SIGTERM does, once whoever started it has gone or closed its input."""
    while sys.stdin.buffer.read(1 << 16):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _options(arguments: argparse.Namespace) -> list[str]:
    given = {"host": arguments.host, "port": arguments.port, "grpc_port": arguments.grpc_port}
    return [
        f"{key}={json.dumps(text) if key == 'host' else text}"
        for key, text in given.items()
        if text is not None
    ]


def _token(path: str | None) -> str:
    """Returns the token that clients must send, "" for none."""
    where = path or f"${TOKEN}"
    if path:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                token = file.read(4096).strip()
        except OSError as error:
            raise UserError(f"the token cannot be read: {error.strerror}", where=path) from None
    else:
        token = os.environ.get(TOKEN, "").strip()
    if (path or token) and not (
        len(token) >= _LEAST and token.isascii() and token.isprintable() and " " not in token
    ):
        raise UserError(
            "the token cannot be used", expected=f"{_LEAST} or more visible ASCII characters", where=where
        )
    return token
