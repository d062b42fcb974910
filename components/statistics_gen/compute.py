"""Statistics from facts: a mergeable summary of each facts file, merged per split."""

import collections
import dataclasses
import functools
import json
import pathlib
import typing
from collections.abc import Iterable

import numpy as np
import pyarrow.parquet

from conveyor.components.artifacts import Examples
from conveyor.components.beam import beam, beam_pipeline
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.statistics_gen.sketch import Sketch, deviation

NUMBERS = ("width", "height", "bytes", "brightness")
_CATEGORIES = ("label", "format", "mode")


@dataclasses.dataclass
class SplitSummary:
    """What is known of a part of a split; two of them can be merged.

    Args:
        numbers: Column -> sketch of its values.
        categories: Column -> value -> count.
        pixels: Number of pixels.
        sums: Sum of pixel values per channel (grey counts for each of three).
        squares: Sum of squared pixel values per channel.
    """

    numbers: dict[str, Sketch]
    categories: dict[str, collections.Counter[typing.Any]]
    pixels: int
    sums: list[int]
    squares: list[int]

    def merge(self, other: "SplitSummary") -> "SplitSummary":
        """Returns a summary of both parts."""
        return SplitSummary(
            {name: Sketch().merge(self.numbers[name]).merge(other.numbers[name]) for name in NUMBERS},
            {name: self.categories[name] + other.categories[name] for name in _CATEGORIES},
            self.pixels + other.pixels,
            [a + b for a, b in zip(self.sums, other.sums, strict=True)],
            [a + b for a, b in zip(self.squares, other.squares, strict=True)],
        )


def summarise_file(path: str, channels: int) -> SplitSummary:
    """Summarises one facts file.

    Args:
        path: A Parquet file of facts.
        channels: Channels of the data set; a grey image counts for each.
    """
    table = pyarrow.parquet.read_table(path)
    columns = {name: table[name].to_numpy() for name in (*NUMBERS, *_CATEGORIES)}
    pixels = int(columns["width"].astype(np.int64) @ columns["height"].astype(np.int64))
    moments = [
        np.sum([_spread(row, channels) for row in table[name].to_pylist()], axis=0).tolist()
        for name in ("pixel_sum", "pixel_square_sum")
    ]
    return SplitSummary(
        {name: Sketch().add(columns[name]) for name in NUMBERS},
        {name: collections.Counter(columns[name].tolist()) for name in _CATEGORIES},
        pixels,
        *moments,
    )


def _spread(values: list[int], channels: int) -> list[int]:
    return values if len(values) == channels else values * channels


def compute_statistics(
    examples: Examples, settings: StatisticsGenSettings, work: pathlib.Path
) -> dict[str, typing.Any]:
    """Returns the statistics document of an Examples artifact (see `Statistics`).

    Args:
        examples: What to describe.
        settings: How.
        work: A directory that workers can write to.
    """
    channels = examples.properties["channels"]
    classes = examples.properties["classes"]
    files = [str(path) for path in sorted(examples.facts_dir.glob("*.parquet"))]

    def write(split: str, summary: SplitSummary) -> None:
        text = json.dumps(_document(summary, classes, settings.quantiles))
        (work / split).write_text(text, encoding="utf-8")

    with beam_pipeline(settings.beam) as pipeline:
        _ = (
            pipeline
            | beam.Create(files)
            | beam.Map(lambda path: (_split_of(path), summarise_file(path, channels)))
            | beam.CombinePerKey(_merge_all)
            | beam.MapTuple(write)
        )
    return {
        split: json.loads((work / split).read_text(encoding="utf-8"))
        for split in examples.properties["splits"]
    }


def _split_of(path: str) -> str:
    return pathlib.Path(path).name.rpartition("-")[0]


def _merge_all(summaries: Iterable[SplitSummary]) -> SplitSummary:
    return functools.reduce(SplitSummary.merge, summaries)


def _document(summary: SplitSummary, classes: list[str], quantiles: int) -> dict[str, typing.Any]:
    labels = summary.categories["label"]
    return {
        "examples": sum(labels.values()),
        "classes": {name: labels.get(label, 0) for label, name in enumerate(classes)},
        "formats": dict(sorted(summary.categories["format"].items())),
        "modes": dict(sorted(summary.categories["mode"].items())),
        "channel_mean": [total / summary.pixels for total in summary.sums],
        "channel_std": [
            deviation(summary.pixels, *sums) for sums in zip(summary.sums, summary.squares, strict=True)
        ],
        **{name: summary.numbers[name].describe(quantiles) for name in NUMBERS},
    }
