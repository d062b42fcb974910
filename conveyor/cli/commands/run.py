"""Run an experiment: from images to a pushed model.

Exit codes: 0 done; 1 a bug; 2 the input is wrong; 3 a gate said no (data anomalies, not blessed).
"""

import argparse
import typing
from collections.abc import Iterator

from conveyor.cli.options import add_config, add_workspace
from conveyor.cli.output import say
from conveyor.cli.tables import metrics_tables, pairs, stages_table, verdicts
from conveyor.pipeline.errors import ConveyorError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_config(parser)
    add_workspace(parser)
    parser.add_argument("--until", metavar="STAGE", help="the last stage to run")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="STAGE",
        help="this stage and what depends on it run even if their results are cached",
    )


def run(arguments: argparse.Namespace) -> dict[str, typing.Any]:
    """Runs the experiment, telling on stderr how far it is.

    Returns:
        The run's summary.

    Raises:
        UserError: Config, workspace or a stage name is wrong.
    """
    from conveyor.cli.progress import Progress
    from conveyor.components import experiment

    with Progress() as progress:
        result = experiment.run(
            arguments.config,
            arguments.overrides,
            workspace=arguments.workspace,
            until=arguments.until,
            start=arguments.start,
            report=progress,
        )
    if result.traceback:
        say(result.traceback)
    return result.summary


def show(summary: dict[str, typing.Any]) -> Iterator[typing.Any]:
    """Yields what a summary says: stages, metrics, verdicts."""
    yield f"run {summary['run']}"
    yield stages_table([summary["stages"]], ["outcome"])
    yield from metrics_tables([summary.get("metrics", {})], ["value [95% interval]"])
    yield from pairs(verdicts(summary))


def finish(summary: dict[str, typing.Any]) -> int:
    """Tells why the run stopped, if it did; returns the exit code."""
    if "error" not in summary:
        return 0
    fields = dict(summary["error"])
    code = int(fields.pop("exit_code"))
    say(f"conveyor: {ConveyorError.from_dict(fields)}")
    return code
