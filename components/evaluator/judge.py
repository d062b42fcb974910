"""Runs a SavedModel over a split and measures what it answers."""

import contextlib
import functools
import pathlib
import tempfile
import typing

import numpy as np

from conveyor.components.artifacts import Evaluation, Examples
from conveyor.components.evaluator.gap import gap
from conveyor.components.evaluator.parts import predict_in_parts
from conveyor.components.evaluator.predict import predict, save
from conveyor.components.evaluator.saved_model import open_served
from conveyor.components.evaluator.settings import EvaluatorSettings, JudgeSettings
from conveyor.components.evaluator.units import find_groups
from conveyor.components.tasks import fitted_task
from conveyor.models.tasks.settings import asked

_MANY = 500_000  # examples from which a split is judged in parts, unless told


def judge(
    examples: Examples,
    saved_model: pathlib.Path,
    settings: EvaluatorSettings,
    evaluation: Evaluation,
    scratch: pathlib.Path | None = None,
) -> dict[str, typing.Any]:
    """Measures a SavedModel; writes predictions and the gallery beside the document.

    Args:
        examples: Whose split `settings.judge.split` is used.
        saved_model: A SavedModel with a `serving_default` that takes image bytes.
        settings: How to judge.
        evaluation: Where predictions and pictures go.
        scratch: Where parts of a large split are kept meanwhile; that of the system unless told.

    Returns:
        The document of an Evaluation artifact.

    Raises:
        UserError: The model does not fit the data, or its answers are no numbers.
    """
    how, task = settings.judge, fitted_task(settings.task, examples, saved_model)
    served = functools.cache(lambda: open_served(saved_model))
    with contextlib.ExitStack() as stack:
        if _is_in_parts(examples, how):
            folder = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch))
            found = predict_in_parts(examples, saved_model, settings, pathlib.Path(folder))
        else:
            found = predict(examples, served(), task, how)
        save(found, evaluation.predictions_file)
        groups = find_groups(examples, how.split, found.ids, how.resample)
        metrics = task.evaluate(found.records, how.bootstrap, settings.seed, groups)
        plots = task.plots(found.records, how.bootstrap, settings.seed, groups)
        plots += [
            gallery.plot(evaluation.path, name) for name, gallery in found.galleries.items() if gallery.rows
        ]
        return {
            "split": how.split,
            "task": asked(settings.task),
            "batch_size": how.batch_size,
            "examples": len(found.ids),
            "resampled": "examples" if groups is None else "groups",
            "units": len(found.ids) if groups is None else len(np.unique(groups)),
            "classes": task.classes,
            "metrics": metrics,
            "gap": gap(examples, served(), task, settings, metrics) if how.gap else {},
            "plots": plots,
        }


def _is_in_parts(examples: Examples, how: JudgeSettings) -> bool:
    is_large = examples.properties["splits"].get(how.split, 0) >= _MANY
    return how.beam == "on" or (how.beam == "auto" and is_large)
