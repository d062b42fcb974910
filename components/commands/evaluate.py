"""`conveyor evaluate`: an exported model on a config's data."""

import os
import pathlib
import tempfile
import typing
from collections.abc import Sequence

from conveyor.components.evaluator.saved_model import find_saved_model
from conveyor.components.evaluator.settings import EvaluatorSettings


def evaluate_model(
    model: str,
    config: str,
    overrides: Sequence[str],
    workspace: str | os.PathLike[str],
    split: str | None,
) -> dict[str, typing.Any]:
    """Measures an exported model on a split of a config's data.

    Args:
        model: See `find_saved_model`.
        config: Path or shipped name of a config; its `data` is read in (or found in the cache).
        overrides: "dotted.key=value" each.
        workspace: Where Examples are kept.
        split: The split; that of the config unless told.

    Returns:
        The document of an Evaluation, without plots.

    Raises:
        UserError: There is no such model, config or split, or the data cannot be used.
    """
    from conveyor.components.experiment import load_experiment, run

    saved_model = find_saved_model(model)
    experiment = load_experiment(config, overrides)
    result = run(config, overrides, workspace=workspace, until="example_validator")
    if result.error:
        raise result.error
    from conveyor.components.artifacts import Evaluation
    from conveyor.components.evaluator.judge import judge
    from conveyor.pipeline.workspace import Workspace

    update = {"split": split or experiment.evaluator.split, "gap": False}
    how = experiment.evaluator.model_copy(update=update)
    settings = EvaluatorSettings(task=experiment.task, judge=how, seed=experiment.seed)
    examples = result.outputs["example_gen"]["examples"]
    with tempfile.TemporaryDirectory() as folder:
        document = judge(examples, saved_model, settings, Evaluation(pathlib.Path(folder)))  # type: ignore[arg-type]
    del document["plots"]
    Workspace(workspace).store.add_look(examples.digest, how.split, "report")
    return document
