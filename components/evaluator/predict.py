"""Runs a SavedModel over a split, or a part of it."""

import dataclasses
import pathlib
import typing

import numpy as np

from conveyor.components.artifacts import Examples
from conveyor.components.datasets import read_split, replay
from conveyor.components.evaluator.gallery import Gallery
from conveyor.components.evaluator.settings import JudgeSettings
from conveyor.models.metrics.records import join
from conveyor.models.tasks.task import Records, Task
from conveyor.pipeline.errors import UserError


@dataclasses.dataclass
class Predicted:
    """What a model answered.

    Args:
        ids: str [n], the examples in order.
        records: What the task keeps of each.
        galleries: Folder in the Evaluation -> answers worth a look.
    """

    ids: np.ndarray
    records: Records
    galleries: dict[str, Gallery]


def new_galleries(how: JudgeSettings) -> dict[str, Gallery]:
    """Returns the galleries of an Evaluation, empty."""
    return {"gallery": Gallery(how.worst, wrong=True), "hardest": Gallery(how.hardest, wrong=False)}


def predict(
    examples: Examples,
    served: typing.Any,
    task: Task,
    how: JudgeSettings,
    rows: range | None = None,
) -> Predicted:
    """Asks a model about a split.

    Args:
        examples: Whose split `how.split` is used.
        served: The `serving_default` signature of the model.
        task: With the thresholds of the model, see `fitted_task`.
        how: How to judge.
        rows: Which examples of the split, the first a multiple of the batch size; None for all.

    Raises:
        UserError: The model does not fit the data, or its answers are no numbers.
    """
    galleries = new_galleries(how)
    dataset = read_split(examples, how.split, rows)
    first = rows.start if rows else 0
    parts = []
    for batch, outputs in replay(served, dataset, task, how.batch_size):
        if problem := task.check(outputs):
            raise UserError(
                "what the model answers cannot be judged on this data",
                received=problem,
                where=f"split {how.split}, examples {batch['id'][0]} to {batch['id'][-1]}",
            )
        records = task.record(batch["truth"], outputs)
        for gallery in galleries.values():
            gallery.add(first, batch, outputs, records, task)
        parts.append({"ids": batch["id"], **records})
        first += len(batch["id"])
    columns = join(parts)
    return Predicted(columns.pop("ids"), columns, galleries)


def save(predicted: Predicted, file: pathlib.Path) -> None:
    """Writes ids and records, column by column."""
    columns: dict[str, typing.Any] = dict(sorted(predicted.records.items()))
    np.savez_compressed(file, ids=predicted.ids, **columns)
