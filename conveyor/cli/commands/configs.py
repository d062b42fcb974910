"""List the shipped configs.

`conveyor run NAME` runs one of them.
"""

import argparse
import pathlib
from collections.abc import Iterator
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments: none."""


def run(arguments: argparse.Namespace) -> list[dict[str, str]]:  # noqa: ARG001
    """Returns name, description and path of each shipped config."""
    from conveyor.components.experiment import shipped_configs

    return [
        {"name": name, "description": _description(path), "path": str(path)}
        for name, path in shipped_configs().items()
    ]


def show(configs: list[dict[str, str]]) -> Iterator[Any]:
    """Yields a table of the configs."""
    from conveyor.cli.tables import table

    yield table(["config", "description"], [[config["name"], config["description"]] for config in configs])


def _description(path: pathlib.Path) -> str:
    """Returns the comment that a config opens with."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return "\n".join(lines)
