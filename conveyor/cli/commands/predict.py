"""Predict images with an exported model, one JSON line each."""

import argparse
from collections.abc import Iterator
from typing import Any

from conveyor.cli.output import json_text, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="directory of an exported or pushed model")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    parser.add_argument("--batch-size", metavar="N", type=_positive, default=32, help="default: 32")


class Predictions:
    """An iterator of predictions that counts those which could not be made.

    Args:
        rows: A dict for each image; one with `error` is no prediction.
    """

    def __init__(self, rows: Iterator[dict[str, Any]]):
        self._rows = rows
        self.failed = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            self.failed += "error" in row
            yield row


def run(arguments: argparse.Namespace) -> Predictions:
    """Returns an iterator of one prediction for each image.

    Raises:
        UserError: There is no such model.
    """
    from conveyor.cli.quiet import quiet_tensorflow

    quiet_tensorflow()
    from conveyor.components.commands.predict import predict_files

    return Predictions(predict_files(arguments.model, arguments.images, arguments.batch_size))


def show(predictions: Predictions) -> Iterator[str]:
    """Yields each prediction as a JSON line, as soon as it is there."""
    yield from map(json_text, predictions)


def finish(predictions: Predictions) -> int:
    """Tells if there were images that could not be predicted; returns the exit code."""
    if predictions.failed:
        say(f"conveyor: no prediction for {predictions.failed} of the images: 'error' says why")
    return 2 if predictions.failed else 0


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text!r}")
    return number
