"""List the runs of a workspace, newest first."""

import argparse
import time
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import add_workspace
from conveyor.cli.tables import ABSENT, headline_metrics, table, yes_no


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_workspace(parser)


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns all runs: `name`, `config`, `started` (seconds since 1970), `summary` (or None).

    Raises:
        UserError: There is no workspace.
    """
    from conveyor.cli.history import open_store

    return open_store(arguments.workspace).runs()


def show(runs: list[dict[str, Any]]) -> Iterator[Any]:
    """Yields a table of the runs."""
    if not runs:
        yield "no runs yet"
        return
    columns = ["run", "config", "when", "stages", "blessed", "metrics"]
    yield table(columns, [_row(run) for run in runs], whole=columns[:3])


def _row(run: dict[str, Any]) -> list[str]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run["started"]))
    summary = run["summary"]
    if summary is None:
        return [run["name"], run["config"], when, "not finished", ABSENT, ABSENT]
    blessed, metrics = yes_no(summary.get("blessed")), headline_metrics(summary.get("metrics", {}))
    return [run["name"], run["config"], when, _stages(summary["stages"]), blessed, metrics]


def _stages(stages: list[dict[str, Any]]) -> str:
    """Returns how many stages are done, of how many, and how many of them were cached."""
    done = sum(stage["status"] == "done" for stage in stages)
    cached = sum(bool(stage["cached"]) for stage in stages)
    failed = [stage["name"] for stage in stages if stage["status"] == "failed"]
    return f"{done}/{len(stages)} done, {cached} cached" + "".join(f", {name} failed" for name in failed)
