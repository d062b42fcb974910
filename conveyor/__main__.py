"""What `conveyor` and `python -m conveyor` start."""

import argparse
import sys
import typing
from collections.abc import Sequence

from absl import app, flags, logging

from conveyor.cli.app import execute, parse


def main(argv: Sequence[str] | None = None) -> typing.NoReturn:
    """Runs the command line and ends the process.

    Args:
        argv: Name of the program and its arguments; those of this process unless told.

    Raises:
        SystemExit: Always; its code is the exit code.
    """
    app.run(execute, argv=list(argv or sys.argv), flags_parser=_parse)
    sys.exit(0)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    arguments = parse(argv[1:])
    if flags.FLAGS["verbosity"].using_default_value:
        # absl would choose INFO, at which libraries tell every step; --verbosity=0 asks for that
        logging.set_verbosity(logging.WARNING)
    return arguments


if __name__ == "__main__":
    main()
