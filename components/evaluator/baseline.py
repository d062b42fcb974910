"""Which earlier model the new one is compared with."""

import typing
from collections.abc import Iterable, Mapping

from conveyor.components.artifacts import Evaluation
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.models.tasks.settings import asked
from conveyor.pipeline.artifacts import Artifact, is_complete
from conveyor.pipeline.stage import PastRun


def last_blessed(
    settings: EvaluatorSettings, inputs: Mapping[str, Artifact | None], past: Iterable[PastRun]
) -> Artifact | None:
    """Returns the evaluation of the last other model that was blessed on the same questions.

    A run of the present model is passed over: so a model that was blessed once is judged as it was then
    when it is run again, and its verdict comes from the cache.

    Args:
        settings: Of the stage.
        inputs: Those of the stage.
        past: Earlier runs of the same config, newest first.
    """
    if settings.judge.against.model == "none":
        return None
    ours = [_digest(inputs.get(name)) for name in ("examples", "model")]
    questions = {"split": settings.judge.split, "task": asked(settings.task)}
    for run in past:
        evaluation = run.artifacts.get("Evaluation")
        examples, model = (_digest(run.artifacts.get(kind)) for kind in ("Examples", "Model"))
        other = run.summary.get("blessed") and examples == ours[0] and model not in ("", ours[1])
        if other and evaluation and is_complete(evaluation.path) and _asks(evaluation, questions):
            return evaluation
    return None


def _digest(artifact: Artifact | None) -> str:
    return artifact.digest if artifact else ""


def _asks(evaluation: Artifact, questions: dict[str, typing.Any]) -> bool:
    document = Evaluation(evaluation.path).read()
    return all(document.get(name) == value for name, value in questions.items())
