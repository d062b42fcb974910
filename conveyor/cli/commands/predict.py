"""Predict images with an exported model, one JSON line each.

MODEL is a folder, or the address of a server: http://127.0.0.1:8501/v1/models/NAME. If the server wants
a token, CONVEYOR_SERVE_TOKEN is sent.

With --to, predictions are written by a Beam pipeline, and images may be patterns:

  conveyor predict workspace/serving/digits 'photos/*.jpg' --to scores.parquet
"""

import argparse
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from conveyor.cli.options import TOKEN
from conveyor.cli.output import json_text, say
from conveyor.pipeline.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="an exported or pushed model, or http://…")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    parser.add_argument("--batch-size", metavar="N", type=_positive, default=32, help="default: 32")
    parser.add_argument("--draw", metavar="DIR", help="write pictures of the predictions, too")
    parser.add_argument("--to", metavar="FILE", help="write a .parquet or .jsonl, in parts named after it")
    parser.add_argument(
        "--beam",
        metavar="RUNNER",
        default="DirectRunner",
        help="DirectRunner unless told; DataflowRunner, FlinkRunner, …",
    )
    parser.add_argument(
        "--beam-option",
        dest="beam_options",
        metavar="=--KEY=VALUE",
        action="append",
        default=[],
        help="an option of the runner, such as --beam-option=--region=europe-west1; may be repeated",
    )


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


def run(arguments: argparse.Namespace) -> "Predictions | dict[str, Any]":
    """Returns an iterator of one prediction for each image; or what was written, see `score`.

    Raises:
        UserError: There is no such model.
    """
    from conveyor.cli.quiet import quiet_tensorflow

    quiet_tensorflow()
    token = os.environ.get(TOKEN, "")
    if arguments.to and arguments.draw:
        raise UserError("--draw is for predictions that are printed", fix="leave out --to or --draw")
    if arguments.to:
        return _write(arguments, token)
    from conveyor.components.commands.predict import predict_files

    draw = pathlib.Path(arguments.draw) if arguments.draw else None
    return Predictions(predict_files(arguments.model, arguments.images, arguments.batch_size, token, draw))


def _write(arguments: argparse.Namespace, token: str) -> dict[str, Any]:
    from conveyor.components.commands.score import Scoring, score
    from conveyor.components.example_gen.settings import BeamSettings

    runner = BeamSettings(runner=arguments.beam, options=arguments.beam_options)
    scoring = Scoring(arguments.model, arguments.images, arguments.to, arguments.batch_size, token)
    return score(scoring, runner)


def show(predictions: "Predictions | dict[str, Any]") -> Iterator[str]:
    """Yields each prediction as a JSON line, as soon as it is there; or the files that were written."""
    if isinstance(predictions, Predictions):
        yield from map(json_text, predictions)
    else:
        yield from predictions["files"]


def finish(predictions: "Predictions | dict[str, Any]") -> int:
    """Tells if there were images that could not be predicted; returns the exit code."""
    failed = predictions.failed if isinstance(predictions, Predictions) else predictions["failed"]
    if failed:
        say(f"conveyor: no prediction for {failed} of the images: 'error' says why")
    return 2 if failed else 0


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, received {text!r}")
    return number
