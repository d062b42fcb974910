"""Compares judged candidates example by example."""

from collections.abc import Sequence

import numpy as np

from conveyor.components.artifacts import Evaluation
from conveyor.components.tuner.optimism import Selection, select
from conveyor.models.metrics.weighted import Weighted
from conveyor.models.tasks.task import Records, Task
from conveyor.pipeline.errors import UserError


def compare(
    candidates: Sequence[Sequence[Evaluation]],
    task: Task,
    metric: str,
    sign: int,
    resamples: int,
    seed: int,
) -> Selection:
    """Chooses among candidates.

    Args:
        candidates: The evaluations of each, one for each of its seeds; all on the same examples.
        task: Measures them.
        metric: By what they are compared.
        sign: 1 where more is better, -1 where less is.
        resamples: How many times the choice is made again.
        seed: Of the random numbers.

    Returns:
        The selection; its scores are means over seeds, times the sign.

    Raises:
        UserError: Evaluations are not of the same examples.
    """
    records = [[evaluation.predictions() for evaluation in evaluations] for evaluations in candidates]
    ids = records[0][0]["ids"]
    if not all(np.array_equal(columns["ids"], ids) for some in records for columns in some):
        raise UserError(
            "candidates were not judged on the same examples",
            fix="vary settings that do not change which examples there are",
        )

    weighted = [[_weighted(columns, task) for columns in some] for some in records]

    def score(number: int, rows: np.ndarray) -> float:
        weights = np.bincount(rows, minlength=len(ids)).astype(np.int32)[None]
        return sign * float(np.mean([measure(weights)[metric][0] for measure in weighted[number]]))

    return select(score, len(records), len(ids), resamples, seed)


def _weighted(columns: Records, task: Task) -> Weighted:
    return task.weighted({name: column for name, column in columns.items() if name != "ids"})
