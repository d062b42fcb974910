"""Runs a SavedModel over a split and measures what it answers."""

import heapq
import itertools
import pathlib
import typing

import numpy as np

from conveyor.components.artifacts import Evaluation, Examples
from conveyor.components.datasets import read_split, replay
from conveyor.components.evaluator.gap import gap
from conveyor.components.evaluator.saved_model import open_served
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.components.tasks import task_for
from conveyor.models.tasks.settings import asked
from conveyor.models.tasks.task import Outputs, Records, Task
from conveyor.pipeline.errors import UserError

_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}


def judge(
    examples: Examples,
    saved_model: pathlib.Path,
    settings: EvaluatorSettings,
    evaluation: Evaluation,
) -> dict[str, typing.Any]:
    """Measures a SavedModel; writes predictions and the gallery beside the document.

    Args:
        examples: Whose split `settings.judge.split` is used.
        saved_model: A SavedModel with a `serving_default` that takes image bytes.
        settings: How to judge.
        evaluation: Where predictions and pictures go.

    Returns:
        The document of an Evaluation artifact.

    Raises:
        UserError: The model does not fit the data, or its answers are no numbers.
    """
    how = settings.judge
    task = task_for(settings.task, examples)
    worst = _Worst(how.worst)
    parts = []
    dataset = read_split(examples, how.split)
    served = open_served(saved_model)
    for batch, outputs in replay(served, dataset, task, how.batch_size):
        if problem := task.check(outputs):
            raise UserError(
                "what the model answers cannot be judged on this data",
                received=problem,
                where=f"split {how.split}, examples {batch['id'][0]} to {batch['id'][-1]}",
            )
        records = task.record(batch["truth"], outputs)
        worst.add(batch, outputs, records, task)
        parts.append({"ids": batch["id"], **records})
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    np.savez_compressed(evaluation.predictions_file, **columns)  # type: ignore[arg-type]
    ids, records = columns.pop("ids"), columns
    plots = task.plots(records)
    if worst.rows:
        plots.append(worst.gallery(evaluation.path))
    return {
        "split": how.split,
        "task": asked(settings.task),
        "batch_size": how.batch_size,
        "examples": len(ids),
        "classes": task.classes,
        "metrics": task.evaluate(records, how.bootstrap, settings.seed),
        "gap": gap(examples, served, task, settings) if how.gap else {},
        "plots": plots,
    }


class _Worst:
    """The most wrong answers seen so far, with their images."""

    def __init__(self, size: int):
        self.size = size
        self.rows: list[tuple[float, int, bytes, str]] = []
        self._numbers = itertools.count(0, -1)  # of equally wrong answers the first is kept

    def add(self, batch: dict[str, typing.Any], outputs: Outputs, records: Records, task: Task) -> None:
        badness = task.badness(records)
        for index in np.flatnonzero(badness > 0) if self.size else ():
            entry = float(badness[index]), next(self._numbers)
            if len(self.rows) == self.size and entry < self.rows[0][:2]:
                continue
            record = {name: array[index] for name, array in records.items()}
            text = f"{batch['id'][index]}: {task.caption(record)}"
            answer = {name: array[index] for name, array in outputs.items()}
            row = (*entry, task.picture(batch["image"][index], answer), text)
            (heapq.heappush if len(self.rows) < self.size else heapq.heappushpop)(self.rows, row)

    def gallery(self, folder: pathlib.Path) -> dict[str, typing.Any]:
        """Writes the images and returns the plot."""
        items = []
        (folder / "gallery").mkdir()
        for number, (_, _, image, text) in enumerate(sorted(self.rows, reverse=True)):
            suffix = next((end for start, end in _SUFFIXES.items() if image.startswith(start)), ".bin")
            name = f"gallery/{number:03d}{suffix}"
            (folder / name).write_bytes(image)
            items.append({"file": name, "caption": text})
        return {
            "kind": "gallery",
            "title": "Worst errors",
            "caption": "The answers that were most wrong, worst first.",
            "items": items,
        }
