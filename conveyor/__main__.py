"""What `conveyor` and `python -m conveyor` start."""

import sys
import typing
from collections.abc import Sequence

from absl import app

from conveyor.cli.app import execute, parse


def main(argv: Sequence[str] | None = None) -> typing.NoReturn:
    """Runs the command line and ends the process.

    Args:
        argv: Name of the program and its arguments; those of this process unless told.

    Raises:
        SystemExit: Always; its code is the exit code.
    """
    app.run(execute, argv=list(argv or sys.argv), flags_parser=lambda words: parse(words[1:]))
    sys.exit(0)


if __name__ == "__main__":
    main()
