"""Arguments that several commands share."""

import argparse
import os

TOKEN = "CONVEYOR_SERVE_TOKEN"  # noqa: S105  (the variable, not what it holds)
WORKSPACE_VARIABLE = "CONVEYOR_WORKSPACE"
DEFAULT_WORKSPACE = "workspace"


def add_workspace(parser: argparse.ArgumentParser) -> None:
    """Adds `--workspace`."""
    parser.add_argument(
        "--workspace",
        metavar="DIR",
        default=os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE,
        help=f"where artifacts, metadata and summaries are kept; ${WORKSPACE_VARIABLE} or"
        f" '{DEFAULT_WORKSPACE}' unless told",
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds CONFIG and its overrides."""
    parser.add_argument("config", metavar="CONFIG", help="path of a .yaml file, or a shipped name")
    add_overrides(parser, "a key of the config, such as trainer.epochs=3")


def add_overrides(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds `-o KEY=VALUE`, which overrides what is said."""
    parser.add_argument(
        "-o",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"overrides {what}; may be repeated",
    )
