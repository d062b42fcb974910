"""A command of this package in a fork of this process: what is imported need not be imported again."""

import contextlib
import os
import runpy
import select
import signal
import subprocess
import sys
import traceback
import typing


class Forked:
    """What `subprocess.Popen` is to a new program; for a process with one thread, of Linux.

    Args:
        words: The command, without the name of the program.
        stderr: File descriptor that the command's errors go to.
    """

    def __init__(self, words: list[str], stderr: int):
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ours_in)
            os.close(ours_out)
            _become(words, theirs_in, theirs_out, stderr)
        os.close(theirs_in)
        os.close(theirs_out)
        self.stdin, self.stdout = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")
        self._handle = os.pidfd_open(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; returns its exit code.

        Raises:
            subprocess.TimeoutExpired: It has not ended in so many seconds.
        """
        if self.returncode is None:
            ready, _, _ = select.select([self._handle], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired("conveyor", timeout or 0.0)
            os.close(self._handle)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def kill(self) -> None:
        """Ends it at once."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def _become(words: list[str], stdin: int, stdout: int, stderr: int) -> typing.NoReturn:
    code: typing.Any = 1
    try:
        for target, source in enumerate((stdin, stdout, stderr)):
            os.dup2(source, target)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
        )
        os.close(stdin)
        os.close(stdout)
        sys.argv = ["conveyor", *words]
        runpy.run_module("conveyor", run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:  # leaving by os._exit would swallow it
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))
