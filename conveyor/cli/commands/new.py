"""Look at data, recognise its format, and write a config for it.

The config checks the data; where each image has a class, it also trains a model.
"""

import argparse
from collections.abc import Iterator
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("data", metavar="DATA_DIR", help="a folder, or a .csv, .npz or .json file")
    parser.add_argument(
        "--out", metavar="FILE.yaml", help="the config to write; by default it has the name of the data"
    )
    parser.add_argument("--force", action="store_true", help="replace the config if it is there already")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes a config; returns what was found and the commands to run next.

    Raises:
        UserError: The data is of no known format, or the config is there or cannot be written.
    """
    from conveyor.cli.quiet import quiet_tensorflow

    quiet_tensorflow()  # which is imported to read a TFDS directory
    from conveyor.components.commands.new import new_config

    return new_config(arguments.data, arguments.out, force=arguments.force)


def show(document: dict[str, Any]) -> Iterator[Any]:
    """Yields a table of what was found, and the commands to run next."""
    from conveyor.cli.tables import table

    yield table(["found", ""], _rows(document))
    yield from document["notes"]
    yield f"wrote {document['config']}"
    yield "next:"
    check, everything = document["commands"]
    yield f"  {check}"
    trains = "checks the data, trains and judges a model" if document["trains"] else "checks the data"
    yield f"  {everything}    # {trains}, and writes a page about it"


def _rows(document: dict[str, Any]) -> Iterator[list[str]]:
    yield ["format", document["format"]]
    at_least = "" if document["complete"] else "at least "
    yield ["images", f"{at_least}{document['images']:,}"]
    yield ["classes", f"{len(document['classes']):,}: {_some(document['classes'])}"]
    yield ["splits", ", ".join(f"{name} {count:,}" for name, count in document["splits"].items()) or "none"]
    for what in ("labels", "objects"):
        if document[what]:
            yield [what, f"{at_least}{sum(document[what].values()):,}"]
    for what in ("outlines", "masks"):
        if document[what]:
            yield [what, f"{at_least}{document[what]:,}"]
    if document["median_size"]:
        (left, right), (top, bottom) = document["widths"], document["heights"]
        width, height = document["median_size"]
        yield ["size", f"{width}x{height} (median); {left} to {right} wide, {top} to {bottom} high"]
    for what in ("set_aside", "faults"):
        if document[what]:
            yield [what.replace("_", " "), ", ".join(f"{n} {reason}" for reason, n in document[what].items())]


def _some(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + ", …" * (len(names) > most)
