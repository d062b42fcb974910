"""Runs command lines in forks of one process that has imported TensorFlow and Beam once.

Importing both takes longer than most commands on small data. What tests start-up itself, kills
processes or looks at their memory starts a Python of its own instead.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import typing

from conveyor.components.warm import BEAM, TENSORFLOW
from conveyor.pipeline.runners import warm


class Done(typing.NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(words: list[str], environment: dict[str, str], code: str = "") -> Done:
    """Runs `conveyor WORDS` in a process of its own, or code with these arguments."""
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("stdout", "stderr")]
        asked = {"words": ["conveyor", *words], "environment": environment, "files": files, "code": code}
        server = _server()
        print(json.dumps({**asked, "directory": os.getcwd()}), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        texts = []
        for file in files:
            with open(file, encoding="utf-8") as stream:
                texts.append(stream.read())
    return Done(code, *texts)


@functools.cache
def _server() -> subprocess.Popen[str]:
    environment = {**os.environ, **warm._QUIET}
    server = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd="/",  # not that of the first test that asks
    )
    atexit.register(server.kill)
    return server


class ForkedTemplate:
    """In place of `subprocess.Popen` of a WarmProcess: its template, with all it wants imported."""

    def __init__(self, modules: tuple[str, ...]):
        (read_in, write_in), (read_out, write_out) = os.pipe(), os.pipe()
        caller = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for end in (write_in, read_out):
                os.close(end)
            os.dup2(read_in, 0)
            os.dup2(write_out, 1)
            os.environ.update({**warm._QUIET, **os.environ})
            warm.main(list(modules), caller)
            os._exit(0)
        for end in (read_in, write_out):
            os.close(end)
        self.stdin, self.stdout = os.fdopen(write_in, "w"), os.fdopen(read_out)

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _start(self: warm.WarmProcess, modules: tuple[str, ...]) -> None:
    self._process = ForkedTemplate(modules)


def _child(asked: dict[str, typing.Any]) -> typing.NoReturn:
    from conveyor.__main__ import main

    code: typing.Any = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, file in enumerate(asked["files"], start=1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["directory"])
        sys.argv = asked["words"]
        warm.WarmProcess.__init__ = _start  # type: ignore[method-assign]
        exec(asked["code"], {}) if asked["code"] else main()  # noqa: S102
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """The server's end: a line with a command in, a line with its exit code out."""
    replies = os.dup(1)
    os.dup2(2, 1)
    for module in (*BEAM, *TENSORFLOW):
        importlib.import_module(module)
    gc.freeze()  # children need not scan, and so copy, all that was imported
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(replies, f"{code}\n".encode())


if __name__ == "__main__":
    serve()
