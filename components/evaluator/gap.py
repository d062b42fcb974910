"""The gap between splits: how much worse a model does on examples that it has not learned from."""

import math
import typing

from conveyor.components.artifacts import Examples
from conveyor.components.datasets import read_split, replay
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.components.evaluator.units import find_groups
from conveyor.models.metrics.records import join
from conveyor.models.tasks.task import Metrics, Records, Task

MOST_EXAMPLES = 2000
_OTHERS = ("train", "validation")


def gap(
    examples: Examples,
    served: typing.Any,
    task: Task,
    settings: EvaluatorSettings,
    judged: Metrics,
    most: int = MOST_EXAMPLES,
) -> dict[str, Metrics]:
    """Measures a model on what it was trained and selected on, to stand beside what it is judged on.

    Other splits are left alone: a test split is looked at when it is what the model is judged on.

    Args:
        examples: The data.
        served: The `serving_default` signature of the exported model.
        task: What the model is for.
        settings: Batch size, bootstrap and seed are used.
        judged: The metrics of the split that the model is judged on.
        most: Examples of each other split, at the most: every second, third, … of a larger one.

    Returns:
        Split -> metric name -> {`value`, `low`, `high`}, of the metrics of the whole (those without
        a "/" in their names). Splits without examples are left out.
    """
    splits = examples.properties["splits"]
    others = [name for name in _OTHERS if splits.get(name) and name != settings.judge.split]
    found = {name: _measure(examples, served, task, settings, name, most) for name in others}
    found[settings.judge.split] = judged
    return {
        name: {key: value for key, value in metrics.items() if "/" not in key}
        for name, metrics in found.items()
    }


def _measure(
    examples: Examples, served: typing.Any, task: Task, settings: EvaluatorSettings, split: str, most: int
) -> Metrics:
    how = settings.judge
    step = math.ceil(examples.properties["splits"][split] / most)
    chosen = read_split(examples, split).shard(step, 0)
    parts = [
        {"ids": batch["id"], **task.record(batch["truth"], outputs)}
        for batch, outputs in replay(served, chosen, task, how.batch_size)
    ]
    records: Records = join(parts)
    resample = "auto" if how.resample == "groups" else how.resample  # not each split must have some
    groups = find_groups(examples, split, records.pop("ids"), resample)
    return task.evaluate(records, how.bootstrap, settings.seed, groups)
