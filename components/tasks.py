"""What a model is for, on given data."""

import pathlib

from conveyor.components.contract import read_contract
from conveyor.models.tasks.settings import TaskSettings
from conveyor.models.tasks.task import Task, make_task
from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.errors import UserError


def task_for(settings: TaskSettings, examples: Artifact) -> Task:
    """Returns the task that settings describe.

    Args:
        settings: Of the task.
        examples: The Examples, whose classes it has.

    Raises:
        UserError: The settings do not fit the classes.
    """
    if settings.names not in examples.properties:
        raise UserError(
            f"the data does not have what task.kind {settings.kind!r} needs",
            expected=f"examples with {' and '.join(settings.needs)}",
            received=", ".join(examples.properties.get("annotations", [])) or "images alone",
            where="section `data` of the config",
        )
    try:
        return make_task(settings, examples.properties[settings.names])
    except ValueError as error:
        raise UserError(
            f"the task does not fit the data: {error}", where="section `task` of the config"
        ) from None


def fitted_task(settings: TaskSettings, examples: Artifact, saved_model: pathlib.Path) -> Task:
    """Returns the task as `task_for` does, with the thresholds that were fitted for an exported model.

    Args:
        settings: Of the task.
        examples: The Examples, whose classes it has.
        saved_model: The model's folder.

    Raises:
        UserError: The settings do not fit the classes, or what the model says of itself cannot be read.
    """
    task = task_for(settings, examples)
    task.take_thresholds(read_contract(saved_model).get("thresholds", {}))
    return task
