"""Show a run, or compare several side by side.

A run is named by its name, the beginning of it, or 'latest'.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import add_workspace
from conveyor.cli.tables import ABSENT, metrics_tables, pairs, short, stages_table, table, verdicts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="name, beginning of a name, or 'latest'")
    add_workspace(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the summary of the one run, or a comparison.

    Returns:
        Of one run its summary. Of several: `runs`, their summaries; and `settings`, "stage.key" ->
        values, one a run, where they differ (None where a run has no such setting).

    Raises:
        UserError: There is no workspace or no such run.
    """
    from conveyor.cli.history import find_run, open_store, run_settings

    store = open_store(arguments.workspace)
    known = store.runs()
    chosen = [find_run(known, name) for name in arguments.runs]
    if len(chosen) == 1:
        return _summary(chosen[0])
    settings = [run_settings(run) for run in chosen]
    return {"runs": [_summary(run) for run in chosen], "settings": _differences(settings)}


def show(document: dict[str, Any]) -> Iterator[Any]:
    """Yields tables of stages, metrics, verdicts and differing settings."""
    if "runs" not in document:
        yield from _show_one(document)
        return
    runs, titles = document["runs"], [run["run"] for run in document["runs"]]
    yield stages_table([run["stages"] for run in runs], titles)
    yield from metrics_tables([run["metrics"] for run in runs], titles)
    facts = [verdicts(run) for run in runs]
    yield table(["", *titles], [[name, *(fact[name] for fact in facts)] for name in facts[0]])
    if document["settings"]:
        rows = [[key, *map(_cell, values)] for key, values in document["settings"].items()]
        yield table(["setting that differs", *titles], rows)


def _show_one(summary: dict[str, Any]) -> Iterator[Any]:
    from conveyor.cli.commands import run as run_command

    yield from run_command.show(summary)
    if error := summary.get("error"):
        yield from pairs({name: text for name, text in error.items() if text})


def _summary(run: dict[str, Any]) -> dict[str, Any]:
    """Returns a run's summary; of one that was cut short, or is under way, what is known."""
    head = {"run": run["name"], "config": run["config"], "stages": [], "metrics": {}}
    return {**head, **(run["summary"] or {}), "started": run["started"]}


def _differences(settings: list[dict[str, Any]]) -> dict[str, list[Any]]:
    if not all(settings):
        return {}  # of some run nothing is known
    keys = dict.fromkeys(key for some in settings for key in some)
    values = {key: [some.get(key) for some in settings] for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def _cell(value: Any) -> str:
    return ABSENT if value is None else short(value)
