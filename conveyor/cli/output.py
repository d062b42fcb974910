"""What a command prints: its answer on stdout, everything else on stderr."""

import contextlib
import io
import json
import math
import os
import sys
import typing
from collections.abc import Iterator

_WIDE = 100_000  # where nobody looks at the width, nothing is cut to one


class ClosedStdout(Exception):  # noqa: N818  (not an error: whoever read the answer has seen enough)
    """Whoever read stdout has closed it."""


class Output:
    """Prints a command's answer.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: typing.TextIO):
        self._stream = stream
        self._console: typing.Any = None
        self._gap = False  # whether a table or tree came last

    def json(self, document: typing.Any) -> None:
        """Prints a document as JSON.

        Raises:
            ClosedStdout: Nobody reads any more.
        """
        self._write(json_text(document, indent=2))

    def show(self, item: typing.Any) -> None:
        """Prints a line of text as it is, or a rich table or tree.

        Raises:
            ClosedStdout: Nobody reads any more.
        """
        text = printable(item) if isinstance(item, str) else self._render(item)
        self._write("\n" + text if self._gap else text)
        self._gap = not isinstance(item, str)

    def _render(self, item: typing.Any) -> str:
        if self._console is None:
            self._console = _console(self._stream)
        with self._console.capture() as captured:
            self._console.print(item)
        return "\n".join(line.rstrip() for line in captured.get().split("\n")).rstrip("\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except BrokenPipeError:
            raise ClosedStdout from None


def _console(stream: typing.TextIO) -> typing.Any:
    from rich.console import Console

    look: dict[str, typing.Any] = {"markup": False, "highlight": False, "emoji": False}
    if not stream.isatty():
        look |= {"width": _WIDE, "force_terminal": False, "color_system": None}
    return Console(file=stream, **look)


def say(text: str) -> None:
    """Prints a message on stderr; nobody reading it is no reason to stop."""
    with contextlib.suppress(BrokenPipeError):
        print(printable(text), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Returns a text with control characters, which could steer a terminal, written out."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else repr(letter)[1:-1] for letter in text
    )


def json_text(document: typing.Any, indent: int | None = None) -> str:
    """Returns JSON text; a number that is not finite becomes null, which JSON has no other word for."""
    return json.dumps(_finite(document), indent=indent, default=_plain, allow_nan=False)


def _finite(value: typing.Any) -> typing.Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: typing.Any) -> typing.Any:
    """Returns arrays and array scalars as lists and numbers, anything else as text."""
    return _finite(value.tolist()) if hasattr(value, "tolist") else str(value)


@contextlib.contextmanager
def own_stdout() -> Iterator[typing.TextIO]:
    """Gives stdout to the command alone.

    Whatever else is printed meanwhile, by a library, native code or a child process, goes to
    stderr, so that what stands on stdout is the answer and nothing else.
    """
    stream = sys.stdout
    if stream is None:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            yield nowhere
        return
    with contextlib.redirect_stdout(sys.stderr):
        try:
            number = stream.fileno()
        except io.UnsupportedOperation:  # replaced by an object in memory
            yield stream
            return
        with _moved(stream, number) as moved:
            yield moved


@contextlib.contextmanager
def _moved(stream: typing.TextIO, number: int) -> Iterator[typing.TextIO]:
    stream.flush()
    kept = os.dup(number)
    os.dup2(2, number)
    moved = open(kept, "w", encoding=stream.encoding, errors="backslashreplace")  # noqa: SIM115
    try:
        yield moved
    finally:
        os.dup2(kept, number)
        with contextlib.suppress(OSError):  # what could not be written has been reported
            moved.close()
