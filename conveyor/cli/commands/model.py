"""Show a model layer by layer: shapes, parameters, cost, receptive field; and what does not fit the data."""

import argparse
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import add_config, add_workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_config(parser)
    add_workspace(parser)
    parser.add_argument(
        "--draw", metavar="FILE", help="draw how receptive fields grow: a file ending in .svg, .png or .html"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns `layers`, `totals` and `advice` of the model that a config describes.

    Raises:
        UserError: The config is wrong.
    """
    from conveyor.cli.quiet import quiet_tensorflow

    quiet_tensorflow()
    from conveyor.components.commands.describe import describe_model

    return describe_model(arguments.config, arguments.overrides, arguments.workspace, arguments.draw)


def show(document: dict[str, Any]) -> Iterator[Any]:
    """Yields the layer table, its sums, and advice."""
    from conveyor.cli.tables import ABSENT, pairs, table
    from conveyor.models.describe.advice import columns

    layers = document["layers"]
    names = columns(layers)
    rows = [[_cell(layer.get(name), ABSENT) for name in names] for layer in layers]
    numeric = [name for name in names if any(_is_number(layer.get(name)) for layer in layers)]
    titles = {name: name.replace("_", " ") for name in names}
    yield table(list(titles.values()), rows, right=[titles[name] for name in numeric])
    totals = document["totals"]
    yield from pairs(
        {name.replace("_", " "): _cell(totals[name], ABSENT) for name in ("parameters", "flops")}
    )
    if totals["dense"]:
        yield (
            f"Convolutions have {totals['shared']:,} of the parameters;"
            f" dense layers in their place would need {totals['dense']:,}."
        )
    if document.get("anchors"):
        yield from _anchors(document["anchors"])
    if totals["uncounted"]:
        yield f"FLOPs are not known of: {', '.join(totals['uncounted'])}"
    yield from document["advice"]


def _anchors(report: dict[str, Any]) -> Iterator[Any]:
    """Yields how anchors suit the training boxes, by class and size, and level by level."""
    from conveyor.cli.tables import ABSENT, table

    titles = ["boxes of", "number", "recall at IoU 0.5", "at IoU 0.7", "anchors a box"]
    rows = [
        [row["name"], f"{row['boxes']:,}", *_shares(row), f"{row['positives']:.1f}"]
        for row in (*report["classes"], *report["sizes"])
    ]
    yield table(titles, rows, right=titles[1:])
    titles = ["stride", "anchors", "boxes", "median side", "sees"]
    names = ("stride", "anchors", "boxes", "median", "receptive_field")
    cells = [[_whole(row[name], ABSENT) for name in names] for row in report["levels"]]
    yield table(titles, cells, right=titles)


def _shares(row: dict[str, Any]) -> list[str]:
    return [f"{row[name]:.1%}" for name in ("recall_50", "recall_70")]


def _whole(value: float | None, absent: str) -> str:
    return absent if value is None else f"{value:,.0f}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any, absent: str) -> str:
    if value is None:
        return absent
    if isinstance(value, list | tuple):
        return " × ".join(_cell(item, "?") for item in value)
    return f"{value:,}" if _is_number(value) else str(value)
