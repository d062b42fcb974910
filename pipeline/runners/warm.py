"""A process that imports heavy modules ahead of time and forks one child per stage execution.

Importing TensorFlow takes seconds. The template starts importing as soon as a run knows that it
will need it, while light stages run elsewhere; each execution then starts in milliseconds in a
pristine process of its own, so that its result depends on nothing that ran before it, and its
memory is free when it ends.

Protocol, over the template's stdin and stdout: one line with the path of a spec file in, one line
with the child's exit status out. The child writes its result beside the spec.
"""

import contextlib
import importlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import typing

from conveyor.pipeline.errors import StageError
from conveyor.pipeline.execution import Spec, execute

_ONCE = "--once"
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "1", "KERAS_BACKEND": "tensorflow"}


class WarmProcess:
    """The caller's end: starts the template at once, without waiting for its imports.

    Args:
        modules: What the template imports.
    """

    def __init__(self, modules: tuple[str, ...]):
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", __spec__.name, *modules],
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
            folder: Where spec and result are exchanged.

        Raises:
            StageError: The child died (killed, out of memory, a crash in native code).
        """
        path = folder / "spec.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        stdin, stdout = self._process.stdin, self._process.stdout
        try:
            print(path, file=stdin, flush=True)
            status = stdout.readline().strip()  # type: ignore[union-attr]
        except BrokenPipeError:
            status = ""
        result = path.with_suffix(".result")
        if status != "0" or not result.exists():
            raise _death(spec, status)
        return json.loads(result.read_text(encoding="utf-8"))

    def close(self) -> None:
        """Ends the template and any child of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()  # type: ignore[union-attr]


def _death(spec: Spec, status: str) -> StageError:
    cause = f"exit status {status}" if status else "its parent process died"
    if status.startswith("-"):
        cause = f"killed by {signal.Signals(-int(status)).name}"
    return StageError(
        f"the process of stage {spec['stage']} ended without a result: {cause}",
        fix="SIGKILL usually means that memory ran out: try a smaller batch_size",
    )


def main(modules: list[str]) -> None:
    """The template's end: imports, then runs a child for every line read."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a stage prints goes to stderr
    for module in modules:
        importlib.import_module(module)
    pending = b""
    while block := os.read(0, 65536):
        pending += block
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            print(_run_child(pathlib.Path(line.decode())), file=replies, flush=True)


def _run_child(path: pathlib.Path) -> int:
    if sys.platform != "linux":  # elsewhere native libraries do not survive a fork
        command = [sys.executable, "-m", __spec__.name, _ONCE, str(path)]
        return subprocess.run(command, check=False).returncode  # noqa: S603
    child = os.fork()
    if child == 0:
        _child(path)
    handle = os.pidfd_open(child)
    ready, _, _ = select.select([handle, 0], [], [])
    os.close(handle)
    if handle not in ready:  # the caller died, which closed our stdin: its child must not go on
        os.kill(child, signal.SIGKILL)
        sys.exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _child(path: pathlib.Path) -> typing.NoReturn:
    code = 1
    try:
        result = execute(json.loads(path.read_text(encoding="utf-8")))
        path.with_suffix(".result").write_text(json.dumps(result), encoding="utf-8")
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == _ONCE:
        _child(pathlib.Path(sys.argv[2]))
    main(sys.argv[1:])
