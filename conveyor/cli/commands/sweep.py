"""Try settings, choose by the validation split, look at the test split once.

What varies is in the config's section `sweep`, or given by -s, a dotted key and what it may be:
{uniform: [0, 0.5]}, {log: [0.0001, 0.01]}, {int: [16, 128]} or {choice: [relu, gelu]}.
Run again, it goes on where it was cut short.
"""

import argparse
import typing
from collections.abc import Iterator

from conveyor.cli.options import add_config, add_workspace
from conveyor.cli.output import say
from conveyor.cli.tables import ABSENT, interval, metrics_tables, pairs, short, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_config(parser)
    add_workspace(parser)
    parser.add_argument(
        "-s",
        dest="space",
        metavar="KEY=DISTRIBUTION",
        action="append",
        default=[],
        help="varies a key of the config, such as 'model.dropout={uniform: [0, 0.5]}'; may be repeated",
    )
    parser.add_argument("--trials", metavar="N", type=_positive, help="how many candidates to try")
    parser.add_argument(
        "--no-test", dest="test", action="store_false", help="choose only, and leave the test split unseen"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text!r}")
    return int(text)


def run(arguments: argparse.Namespace) -> dict[str, typing.Any]:
    """Runs the sweep, telling on stderr how far it is.

    Returns:
        Candidates, winner, and what the winner's run on the test split came to.

    Raises:
        UserError: Config or space is wrong, or no candidate could be trained.
    """
    from conveyor.cli.progress import Progress
    from conveyor.cli.quiet import quiet_tensorflow

    quiet_tensorflow()
    from conveyor.components.tuner.sweep import sweep

    with Progress() as progress:
        return sweep(
            arguments.config,
            arguments.overrides,
            arguments.space,
            workspace=arguments.workspace,
            trials=arguments.trials,
            test=arguments.test,
            tell=say,
            report=progress,
        )


def show(document: dict[str, typing.Any]) -> Iterator[typing.Any]:
    """Yields the candidates, best first; the winner; and its settings to paste."""
    metric, winner, test = document["metric"], document["winner"], document["test"]
    yield f"sweep {document['sweep']}"
    yield _candidates(document)
    yield from pairs(
        {
            "winner": f"candidate {winner['number']} of {len(document['candidates'])}",
            f"validation {metric}": interval(winner),
            "expected optimism": f"{winner['optimism']:.4f}, as it was chosen by this figure",
            f"corrected {metric}": f"{winner['corrected']:.4f}",
            "models seen": f"{document['models_seen']} of this workspace had this validation split",
            "ledger": document["ledger"],
        }
    )
    if test is None:
        yield "the test split was not looked at"
    else:
        yield f"run {test['summary']['run']}, on split {test['split']}"
        yield from metrics_tables([test["summary"].get("metrics", {})], ["value [95% interval]"])
    yield "settings of the winner:"
    yield winner["yaml"].rstrip("\n")


def _candidates(document: dict[str, typing.Any]) -> typing.Any:
    metric, rows = document["metric"], document["candidates"]
    keys = list(rows[0]["settings"])
    ascending = document["goal"] == "minimize"
    judged = sorted(
        (row for row in rows if row["value"] is not None),
        key=lambda row: row["value"] if ascending else -row["value"],
    )
    failed = [row for row in rows if row["value"] is None]
    columns = ["#", *keys, "parameters", f"validation {metric}"]
    lines = [
        [row["number"], *(short(row["settings"][key]) for key in keys), _parameters(row), _outcome(row)]
        for row in [*judged, *failed]
    ]
    return table(columns, lines, right=["#", "parameters"])


def _parameters(row: dict[str, typing.Any]) -> str:
    return ABSENT if row["parameters"] is None else f"{row['parameters']:,}"


def _outcome(row: dict[str, typing.Any]) -> str:
    return short(row["error"].partition("\n")[0]) if row["error"] else interval(row)


def finish(document: dict[str, typing.Any]) -> int:
    """Warns of earlier looks at the test split; returns the exit code of the winner's run."""
    test = document["test"]
    if test is None:
        return 0
    if before := test["looks_before"]:
        say(
            f"conveyor: split {test['split']!r} of this data had been looked at {before} times before, for"
            " other models: the more often, the less its figure means if you choose by it"
        )
    from conveyor.cli.commands import run as run_command

    if trace := test["summary"].get("traceback"):
        say(trace)
    return run_command.finish(test["summary"])
