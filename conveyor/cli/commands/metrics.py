"""Measure predictions of any tool from files: COCO JSON, Pascal VOC, or masks.

  conveyor metrics coco GT.json DT.json     annotations; a list of results
  conveyor metrics voc GT_DIR DT_DIR        Annotations/*.xml; one <anything>_<class>.txt a class
  conveyor metrics masks GT_DIR PRED_DIR    images of class indices, of the same names

COCO's average precision equals that of pycocotools; VOC's two are always beside it.
"""

import argparse
from collections.abc import Iterator
from typing import Any

FORMATS = ("coco", "voc", "masks")
_MOST = 1_000_000  # resamples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("format", choices=FORMATS, help="what the files are")
    parser.add_argument("truth", metavar="GT", help="file or folder of the truth")
    parser.add_argument("predicted", metavar="DT", help="file or folder of the predictions")
    parser.add_argument("--compare", metavar="DT2", help="predictions of another model, on the same images")
    parser.add_argument(
        "--bootstrap",
        metavar="N",
        type=_count,
        default=1000,
        help="resamples of the images, for 95%% intervals; 0 for none; default: 1000",
    )
    parser.add_argument("--seed", metavar="N", type=_count, default=0, help="of the resamples; default: 0")
    parser.add_argument("--segm", action="store_true", help="coco: go by outlines instead of boxes")
    parser.add_argument("--set", metavar="NAME", help="voc: the images of ImageSets/Main/NAME.txt; else all")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures the predictions.

    Returns:
        `metrics` (name -> {value, low, high}), and what they were computed on.

    Raises:
        UserError: A file is wrong.
    """
    from conveyor.components.commands.metrics import measure_files

    return measure_files(
        arguments.format,
        arguments.truth,
        arguments.predicted,
        arguments.compare,
        arguments.bootstrap,
        arguments.seed,
        arguments.segm,
        arguments.set,
    )


def show(report: dict[str, Any]) -> Iterator[Any]:
    """Yields what was measured, tables of metrics, differences and errors, and what to know about them."""
    from conveyor.cli.tables import metrics_tables, pairs, table

    yield from pairs({name: value for name, value in report.items() if isinstance(value, str | int)})
    sides = [report[name] for name in ("metrics", "other") if name in report]
    titles = ["value [95% interval]"] if len(sides) == 1 else [report["predicted"], report["compared"]]
    yield from metrics_tables(sides, titles)
    if "difference" in report:
        yield f"by how much {report['compared']} is better than {report['predicted']}:"
        yield _differences(report["difference"])
    if report.get("errors"):
        rows = [[kind, f"{error['cost']:.4f}", error["count"]] for kind, error in report["errors"].items()]
        yield table(["error", "AP50 lost", "how many"], rows, right=["AP50 lost", "how many"])
    for note in report["notes"]:
        yield f"- {note}"


def _differences(found: dict[str, Any]) -> Any:
    from conveyor.cli.tables import ABSENT, interval, table

    rows = [
        [name, interval(metric), ABSENT if metric["probability"] is None else f"{metric['probability']:.3f}"]
        for name, metric in found.items()
        if "/" not in name
    ]
    return table(["metric", "difference [95% interval]", "probability"], rows, right=["probability"])


def _count(text: str) -> int:
    try:
        number = int(text) if len(text) < 20 else -1
    except ValueError:
        number = -1
    if not 0 <= number <= _MOST:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to {_MOST:,}, received {text[:40]!r}"
        )
    return number
