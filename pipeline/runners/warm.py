"""A process that imports heavy modules ahead of time and forks one child per stage execution.

Importing TensorFlow takes seconds. The template starts importing as soon as a run knows that it
will need it, while light stages run elsewhere; each execution then starts in milliseconds in a
pristine process of its own, so that its result depends on nothing that ran before it, and its
memory is free when it ends.

Protocol, over the template's stdin and stdout: one line with the path of a spec file in, as JSON; out
one line with the child's result, empty if it came to none, and one with its exit status. No result is
written to a disk, because a full disk is among what it may have to tell.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import traceback
import typing
from collections.abc import Callable

from conveyor.pipeline.errors import StageError
from conveyor.pipeline.execution import Spec, execute

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1", "KERAS_BACKEND": "tensorflow"}


class WarmProcess:
    """The caller's end: starts the template at once, without waiting for its imports.

    Args:
        modules: What the template imports.
    """

    def __init__(self, modules: tuple[str, ...]):
        self._process = subprocess.Popen(  # noqa: S603
            _command(main, list(modules), os.getpid()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**_QUIET, **os.environ},
            text=True,
            start_new_session=True,  # so that one signal ends it with its children
        )

    def run(self, spec: Spec, folder: pathlib.Path) -> dict[str, typing.Any]:
        """Executes a spec in a child of the template; returns what `execute` returns.

        Args:
            spec: What to run.
            folder: Where to write the spec.

        Raises:
            StageError: The child died (killed, out of memory, a crash in native code).
        """
        path = folder / "spec.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        stdin, stdout = self._process.stdin, self._process.stdout
        try:
            print(json.dumps(str(path)), file=stdin, flush=True)
            result, status = (stdout.readline().strip() for _ in range(2))  # type: ignore[union-attr]
        except BrokenPipeError:
            result = status = ""
        if status != "0" or not result:
            raise _death(spec, status)
        return json.loads(result)

    def close(self) -> None:
        """Ends the template and any child of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]


def _command(function: Callable[..., None], *arguments: typing.Any) -> list[str]:
    """Returns the command that calls a function of this module in a Python of its own."""
    # Not `-m`: with that the working directory, and whatever json.py lies in it, comes first.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import {function.__name__} as call"
    return [sys.executable, "-c", f"{code}; call(*{arguments!r})"]


def _death(spec: Spec, status: str) -> StageError:
    cause = f"exit status {status}" if status else "the process that starts it died"
    if status.startswith("-"):
        cause = f"killed by {signal.Signals(-int(status)).name}"
    out_of_memory = "memory may have run out: try a smaller batch_size, or free some"
    return StageError(
        f"the process of stage {spec['stage']} ended without a result: {cause}",
        fix=out_of_memory if cause.endswith("SIGKILL") else "see what it wrote to stderr",
    )


def main(modules: list[str], caller: int) -> None:
    """The template's end: imports, then runs a child for every line read.

    Args:
        modules: What to import.
        caller: Process id of who started this.
    """
    replies = os.dup(1)
    os.dup2(2, 1)  # whatever a stage prints goes to stderr
    with _quiet(), _ends_with(caller):
        for module in modules:
            importlib.import_module(module)
    gc.freeze()  # children need not scan, and so copy, all that was imported
    pending = b""
    while block := os.read(0, 65536):
        pending += block
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            os.write(replies, f"\n{_run_child(json.loads(line), replies)}\n".encode())


@contextlib.contextmanager
def _quiet() -> typing.Iterator[None]:
    """Keeps back what native libraries say of the machine when loaded, unless loading fails."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(stderr, said.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def _ends_with(caller: int) -> typing.Iterator[None]:
    """Ends this process if the caller dies: for as long as nobody reads stdin, which would tell."""

    def look(*_: typing.Any) -> None:
        if os.getppid() != caller:
            os._exit(1)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _run_child(path: str, replies: int) -> int:
    if sys.platform != "linux":  # elsewhere native libraries do not survive a fork
        command = _command(_child, path, replies)
        return subprocess.run(command, pass_fds=[replies], check=False).returncode  # noqa: S603
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # end with this process
        _child(path, replies)
    handle = os.pidfd_open(child)
    ready, _, _ = select.select([handle, 0], [], [])
    os.close(handle)
    if handle not in ready:  # the caller died, which closed our stdin: nothing here must go on
        os.killpg(0, signal.SIGKILL)  # ourselves, the child, and what that has started
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _child(path: str, replies: int) -> typing.NoReturn:
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # stdin holds the caller's lines
        spec = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        spec["context"]["pristine"] = sys.platform == "linux"  # see `_run_child`
        result = execute(spec)
        with open(replies, "w", encoding="utf-8") as reply:
            reply.write(json.dumps(result))
        code = 0
    except BaseException:
        traceback.print_exc()  # leaving by os._exit would swallow it
        raise
    finally:
        with contextlib.suppress(Exception):  # a stage may have closed them
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
