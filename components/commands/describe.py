"""`conveyor model`: the layer table of a config's model."""

import os
import typing
from collections.abc import Sequence

from conveyor.components.trainer.settings import TrainerSettings
from conveyor.pipeline.errors import UserError


def describe_model(
    config: str, overrides: Sequence[str], workspace: str | os.PathLike[str]
) -> list[dict[str, typing.Any]]:
    """Returns a row per layer of the model that a config would train.

    Args:
        config: Path or shipped name of a config; its data is read in (or found in the cache), as
            the size of the images is the data's unless `transform.size` says it.
        overrides: "dotted.key=value" each.
        workspace: Where Examples are kept.

    Raises:
        UserError: There is no such config, or the layers do not fit the images.
    """
    from conveyor.components.experiment import load_experiment, run
    from conveyor.components.transform.fit import fit

    experiment = load_experiment(config, overrides)
    if experiment.model is None:
        raise UserError("the config has no model to describe", fix="add a section `model`")
    result = run(config, overrides, workspace=workspace, until="statistics_gen")
    if result.error:
        raise result.error
    properties = result.outputs["example_gen"]["examples"].properties
    statistics: typing.Any = result.outputs["statistics_gen"]["statistics"]
    document = fit(statistics.read(), properties["channels"], experiment.transform)
    from conveyor.components.trainer.fit import build
    from conveyor.models.layer_table import layer_table
    from conveyor.models.tasks.task import make_task

    settings = TrainerSettings(task=experiment.task, model=experiment.model, fit=experiment.trainer)
    return layer_table(build(document, settings, make_task(experiment.task, properties["classes"])))
