"""Print the JSON schema of a config.

Editors complete and check a config by it, for instance after a first line
`# yaml-language-server: $schema=conveyor.schema.json`. Always JSON, with --json or without.
"""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from conveyor.cli.output import json_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments: none."""


def run(arguments: argparse.Namespace) -> dict[str, Any]:  # noqa: ARG001
    """Returns the JSON schema of an experiment."""
    from conveyor.components.experiment import Experiment
    from conveyor.pipeline.config import json_schema

    return json.loads(json_schema(Experiment))


def show(schema: dict[str, Any]) -> Iterator[str]:
    """Yields the schema as JSON text."""
    yield json_text(schema, indent=2)
