"""Predict images with an exported model, one JSON line each."""

import argparse
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import quiet_tensorflow
from conveyor.cli.output import json_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="directory of an exported or pushed model")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    parser.add_argument("--batch-size", metavar="N", type=_positive, default=32, help="default: 32")


def run(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Returns an iterator of one prediction for each image.

    Raises:
        UserError: There is no such model, or an image cannot be read.
    """
    quiet_tensorflow()
    from conveyor.components.evaluator.predict import predict_files

    return predict_files(arguments.model, arguments.images, arguments.batch_size)


def show(predictions: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yields each prediction as a JSON line, as soon as it is there."""
    yield from map(json_text, predictions)


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text!r}")
    return number
