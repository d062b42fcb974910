"""Compares judged candidates example by example."""

from collections.abc import Sequence

import numpy as np

from conveyor.components.artifacts import Evaluation
from conveyor.components.tuner.optimism import Selection, select
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

    def score(number: int, rows: np.ndarray) -> float:
        values = [_measure(columns, rows, task, metric) for columns in records[number]]
        return sign * float(np.mean(values))

    return select(score, len(records), len(ids), resamples, seed)


def _measure(columns: Records, rows: np.ndarray, task: Task, metric: str) -> float:
    some = {name: column[rows] for name, column in columns.items() if name != "ids"}
    value = task.measure(some)[metric]
    return np.nan if value is None else value
