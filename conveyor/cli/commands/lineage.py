"""Show what an artifact was made of, back to the data.

An artifact is named by at least 4 characters of its digest, or by its path. Of the settings, those
are shown that differ from the defaults.
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import add_workspace
from conveyor.cli.output import printable
from conveyor.cli.tables import short

_SHORT = 8  # characters of a digest that are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("artifact", metavar="ARTIFACT", help="beginning of a digest, or a path")
    add_workspace(parser)


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns the executions that led to the artifact, newest first.

    Returns:
        Dicts with `stage`, `key`, `run`, `started`, `seconds`, `settings`, `inputs`, `outputs`
        (name -> digest). The first is the one that made the artifact.

    Raises:
        UserError: There is no workspace or no such artifact.
    """
    from conveyor.cli.history import find_artifact, locate_artifact, open_store

    prefix, workspace = locate_artifact(arguments.artifact, arguments.workspace)
    store = open_store(workspace)
    return store.lineage([find_artifact(store, prefix)["digest"]])


def show(records: list[dict[str, Any]]) -> Iterator[Any]:
    """Yields a tree: the execution that made the artifact, and below it those that made its inputs."""
    from rich.tree import Tree

    if not records:
        yield "nothing is recorded of how it was made"
        return
    makers = {digest: record for record in records for digest in record["outputs"].values()}
    tree = Tree(_label(records[0]))
    _grow(tree, records[0], makers, {records[0]["key"]})
    yield tree


def _grow(tree: Any, record: dict[str, Any], makers: dict[str, dict[str, Any]], told: set[str]) -> None:
    """Adds a branch for each execution that made an input; one told before is only named."""
    wanted = [(name, digest, makers[digest]) for name, digest in record["inputs"].items() if digest in makers]
    for name, digest, maker in wanted:
        if maker["key"] in told:
            tree.add(printable(f"{name} {digest[:_SHORT]} of {maker['stage']}, told elsewhere in this tree"))
        else:
            told.add(maker["key"])
            _grow(tree.add(_label(maker)), maker, makers, told)


def _label(record: dict[str, Any]) -> str:
    from conveyor.cli.history import chosen_settings

    outputs = "  ".join(f"{name} {digest[:_SHORT]}" for name, digest in record["outputs"].items())
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record["started"]))
    lines = [f"{record['stage']} -> {outputs}", f"{record['seconds']:.1f} s, {when}, run {record['run']}"]
    settings = chosen_settings(record["stage"], record["settings"])
    lines += [f"{key}: {short(value)}" for key, value in settings.items()]
    return printable("\n".join(lines))
