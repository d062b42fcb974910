"""What is told on stderr while stages run."""

import contextlib
import os
import pathlib
import sys
import tempfile
import types
import typing

from conveyor.cli.output import say
from conveyor.cli.tables import stage_outcome

if typing.TYPE_CHECKING:
    from conveyor.pipeline.runners.local import StageReport


# A stage runs in a process of its own, and may tell in this file how far it is; see the trainer.
_FILE = "CONVEYOR_PROGRESS"


class Progress:
    """Called as a runner's `report`: one line a stage, and on a terminal a spinner while it runs."""

    def __init__(self) -> None:
        self._status: typing.Any = None
        self._stack = contextlib.ExitStack()
        self._file = pathlib.Path()

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from rich.console import Console

            # while it is shown, what is printed on stderr appears above it
            self._status = self._stack.enter_context(Console(stderr=True).status(""))
            folder = self._stack.enter_context(tempfile.TemporaryDirectory())
            self._file = pathlib.Path(folder) / "progress"
            os.environ[_FILE] = str(self._file)
            self._stack.callback(os.environ.pop, _FILE, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._stack.close()

    def __call__(self, name: str, report: "StageReport | None") -> None:
        """Tells that a stage starts (`report` is None) or how it ended."""
        if report:
            say(f"{name}: {stage_outcome(vars(report))}")
        elif self._status:
            self._file.write_text("", encoding="utf-8")
            self._status.update(_Line(name, self._file))
        else:
            say(f"{name} …")


class _Line:
    """The name of a stage and what it tells, read anew each time that the terminal is refreshed."""

    def __init__(self, name: str, file: pathlib.Path):
        self._name, self._file = name, file

    def __rich__(self) -> str:
        from rich.markup import escape

        try:
            told = self._file.read_text(encoding="utf-8")
        except OSError:
            told = ""
        return escape(f"{self._name} … {told}".rstrip())
