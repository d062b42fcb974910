"""Which earlier data the drift of this data is measured from."""

import typing
from collections.abc import Iterable, Mapping

from conveyor.pipeline.artifacts import Artifact, is_complete
from conveyor.pipeline.stage import PastRun


def last_blessed(
    settings: typing.Any, inputs: Mapping[str, Artifact | None], past: Iterable[PastRun]
) -> Artifact | None:
    """Returns the statistics of the last blessed run; None where its examples are the present ones.

    Args:
        settings: Not used.
        inputs: Those of the stage.
        past: Earlier runs of the same config, newest first.
    """
    del settings
    examples = inputs["examples"]
    for run in past:
        statistics, before = run.artifacts.get("Statistics"), run.artifacts.get("Examples")
        if run.summary.get("blessed") and statistics and before:
            same = examples is not None and before.digest == examples.digest
            return statistics if not same and is_complete(statistics.path) else None
    return None
