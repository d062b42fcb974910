"""Serve an earlier version of a model again.

It is copied to the next version, as servers take the highest; nothing is overwritten. The model that it
takes the place of is not published again by a later run.
"""

import argparse
import pathlib
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import add_workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "name", metavar="NAME", help="a folder of WORKSPACE/serving, or a path, gs:// or s3:// address"
    )
    parser.add_argument("--to", metavar="VERSION", type=int, help="default: the one before")
    add_workspace(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns what was done, see `conveyor.components.pusher.push.roll_back`.

    Raises:
        UserError: There is no such folder or version.
    """
    from conveyor.components.pusher.push import roll_back

    below = pathlib.Path(arguments.workspace, "serving", arguments.name)
    is_name = "/" not in arguments.name and below.is_dir()
    return roll_back(str(below) if is_name else arguments.name, arguments.to)


def show(document: dict[str, Any]) -> Iterator[str]:
    """Yields a line."""
    yield f"{document['destination']}: version {document['copy_of']}, in place of {document['instead_of']}"
