"""Evaluate an exported model on a config's data.

Prints every metric with its 95% interval.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import add_config, add_workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="directory of an exported or pushed model")
    add_config(parser)
    add_workspace(parser)
    parser.add_argument("--split", metavar="S", help="the split to look at; the config's unless told")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Evaluates the model.

    Returns:
        `metrics` (name -> {value, low, high}), and what they were computed on.

    Raises:
        UserError: Model, config or split is wrong.
    """
    from conveyor.cli.quiet import quiet_tensorflow

    quiet_tensorflow()
    from conveyor.components.commands.evaluate import evaluate_model

    return evaluate_model(
        arguments.model, arguments.config, arguments.overrides, arguments.workspace, arguments.split
    )


def show(evaluation: dict[str, Any]) -> Iterator[Any]:
    """Yields what was evaluated, and a table of metrics."""
    from conveyor.cli.tables import metrics_tables, pairs

    yield from pairs({name: value for name, value in evaluation.items() if isinstance(value, str | int)})
    yield from metrics_tables([evaluation["metrics"]], ["value [95% interval]"])
