"""Statistics from facts: a mergeable summary of each facts file, merged per split."""

import functools
import json
import pathlib
import typing
from collections.abc import Iterable

import pyarrow.parquet

from conveyor.components.artifacts import Examples
from conveyor.components.beam import beam, beam_pipeline
from conveyor.components.facts import facts_files, split_of
from conveyor.components.statistics_gen.document import to_document
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.statistics_gen.summary import COLUMNS, Summary, summarise

_ROWS = 1 << 14  # of a facts file, in memory at a time


def compute_statistics(
    examples: Examples, settings: StatisticsGenSettings, work: pathlib.Path
) -> dict[str, typing.Any]:
    """Returns the statistics document of an Examples artifact (see `Statistics`).

    Of a split without examples it says only that: {`examples`: 0}. A summary of no values is None.

    Args:
        examples: What to describe.
        settings: How.
        work: A directory that workers can write to.
    """
    properties, channels = examples.properties, examples.properties["channels"]
    splits = list(properties["splits"])

    def write(split: str, summary: Summary) -> None:
        text = json.dumps(to_document(summary, properties, settings.quantiles))
        _place(work, splits, split).write_text(text, encoding="utf-8")

    for split in splits:
        write(split, Summary())
    with beam_pipeline(settings.beam) as pipeline:
        _ = (
            pipeline
            | beam.Create([str(path) for path in facts_files(examples)])
            | beam.Map(lambda path: (split_of(pathlib.Path(path)), summarise_file(path, channels)))
            | beam.CombinePerKey(_merge_all)
            | beam.MapTuple(write)
        )
    return {split: json.loads(_place(work, splits, split).read_text(encoding="utf-8")) for split in splits}


def _place(work: pathlib.Path, splits: list[str], split: str) -> pathlib.Path:
    return work / f"{splits.index(split)}.json"


def summarise_file(path: str, channels: int) -> Summary:
    """Summarises one facts file, some rows at a time.

    Args:
        path: A Parquet file of facts.
        channels: Channels of the data set.
    """
    with pyarrow.parquet.ParquetFile(path) as file:
        parts = file.iter_batches(_ROWS, columns=list(COLUMNS))
        return _merge_all(summarise(part, channels) for part in parts)


def _merge_all(summaries: Iterable[Summary]) -> Summary:
    return functools.reduce(Summary.merge, summaries, Summary())
