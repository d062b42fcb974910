"""What is told on stderr while stages run."""

import contextlib
import sys
import types
import typing

from conveyor.cli.output import say
from conveyor.cli.tables import stage_outcome

if typing.TYPE_CHECKING:
    from conveyor.pipeline.runners.local import StageReport


class Progress:
    """Called as a runner's `report`: one line a stage, and on a terminal a spinner while it runs."""

    def __init__(self) -> None:
        self._status: typing.Any = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from rich.console import Console

            # while it is shown, what is printed on stderr appears above it
            self._status = self._stack.enter_context(Console(stderr=True).status(""))
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
            self._status.update(f"{name} …")
        else:
            say(f"{name} …")
