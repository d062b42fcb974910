"""What is drawn when examples are resampled: each by itself, or whole groups of them."""

import numpy as np

from conveyor.components.artifacts import Examples
from conveyor.components.evaluator.settings import Resample
from conveyor.components.facts import read_facts
from conveyor.pipeline.errors import UserError


def find_groups(examples: Examples, split: str, ids: np.ndarray, how: Resample) -> np.ndarray | None:
    """Returns int [n], the group of each example; an example without a group is one of its own.

    Images of one patient, video or place err together: taken for independent, they would give intervals
    that are too narrow.

    Args:
        examples: The data.
        split: The judged one.
        ids: str [n], the judged examples in order.
        how: See `JudgeSettings.resample`.

    Returns:
        None where examples are drawn by themselves.

    Raises:
        UserError: Groups are asked for, and no two examples share one.
    """
    if how == "examples":
        return None
    facts = read_facts(examples, ["key", "group"], split)
    known = dict(zip(facts["key"].to_pylist(), facts["group"].to_pylist(), strict=True))
    names = [f"group {known[key]}" if known.get(key) else f"example {key}" for key in ids.tolist()]
    groups = np.unique(names, return_inverse=True)[1]
    if len(groups) and groups.max() + 1 < len(groups):
        return groups
    if how == "groups":
        raise UserError(
            "evaluator.resample is 'groups', but no two examples share a group",
            where=f"split {split!r} of the data",
            fix="let the source tell groups, or set evaluator.resample=auto",
        )
    return None
