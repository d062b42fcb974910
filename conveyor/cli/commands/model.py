"""Show a model layer by layer: shapes, parameters, cost, receptive field."""

import argparse
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import add_config, add_workspace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_config(parser)
    add_workspace(parser)


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns a dict for each layer of the model that a config describes.

    Raises:
        UserError: The config is wrong.
    """
    from conveyor.cli.quiet import quiet_tensorflow

    quiet_tensorflow()
    from conveyor.components.commands.describe import describe_model

    return describe_model(arguments.config, arguments.overrides, arguments.workspace)


def show(layers: list[dict[str, Any]]) -> Iterator[Any]:
    """Yields the layer table."""
    from conveyor.cli.tables import ABSENT, table

    columns = list(dict.fromkeys(column for layer in layers for column in layer))
    rows = [[_cell(layer.get(column), ABSENT) for column in columns] for layer in layers]
    numeric = [column for column in columns if any(_is_number(layer.get(column)) for layer in layers)]
    yield table(columns, rows, right=numeric)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any, absent: str) -> str:
    if value is None:
        return absent
    if isinstance(value, list | tuple):
        return " × ".join(_cell(item, "?") for item in value)
    return f"{value:,}" if _is_number(value) else str(value)
