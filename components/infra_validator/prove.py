"""Replays raw bytes through a SavedModel and compares with recorded predictions."""

import math
import pathlib
import typing

import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Evaluation, Examples
from conveyor.components.datasets import read_split, replay
from conveyor.components.infra_validator.settings import InfraValidatorSettings
from conveyor.components.tasks import task_for
from conveyor.models.metrics.records import join
from conveyor.models.tasks.task import Task


def prove(
    examples: Examples,
    saved_model: pathlib.Path,
    evaluation: Evaluation,
    settings: InfraValidatorSettings,
) -> dict[str, typing.Any]:
    """Compares one by one what a SavedModel answers now with what the evaluator recorded.

    Args:
        examples: Where the raw bytes are.
        saved_model: What is to be served.
        evaluation: Metrics and predictions to compare with.
        settings: How alike they must be.

    Returns:
        `blessed`, `reason`, `examples`, `largest_difference` of any output, and the recomputed
        `metrics`, empty where the outputs are not those of the task.
    """
    judged = evaluation.read()
    task = task_for(settings.task, examples)
    with np.load(evaluation.predictions_file, allow_pickle=False) as recorded:
        before = {name: recorded[name] for name in recorded.files}
    try:
        now, misfit = _answer(examples, saved_model, task, judged)
    except (OSError, LookupError, ValueError, tf.errors.OpError) as error:
        return _verdict(f"it cannot be served: {str(error).strip().splitlines()[0]}", 0, None, {})
    if misfit:
        return _verdict(misfit, len(now["ids"]), None, {})
    difference, reason = _compare(before, now, settings.proof.tolerance)
    if not reason:
        # of the record: with a tolerance, close answers may rank otherwise
        reason = _compare_metrics(judged["metrics"], task.measure(_records(before)))
    return _verdict(reason, len(now["ids"]), difference, task.measure(_records(now)))


def _verdict(
    reason: str, examples: int, difference: float | None, metrics: dict[str, float | None]
) -> dict[str, typing.Any]:
    return {
        "blessed": not reason,
        "reason": reason,
        "examples": examples,
        "largest_difference": difference,
        "metrics": metrics,
    }


def _answer(
    examples: Examples, saved_model: pathlib.Path, task: Task, judged: dict[str, typing.Any]
) -> tuple[dict[str, np.ndarray], str]:
    """Returns what the evaluator records, now; or the first batch, and why its outputs cannot be judged."""
    served = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    dataset = read_split(examples, judged["split"])
    parts = []
    for batch, outputs in replay(served, dataset, task, judged["batch_size"]):
        misfit = task.check(outputs)
        if misfit:
            return {"ids": batch["id"]}, misfit
        parts.append({"ids": batch["id"], **task.record(batch["truth"], outputs)})
    return join(parts), ""


def _records(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in columns.items() if name != "ids"}


def _compare(
    before: dict[str, np.ndarray], now: dict[str, np.ndarray], tolerance: float
) -> tuple[float | None, str]:
    """Returns the largest difference of any number, and what is wrong ("" for nothing)."""
    if set(before) != set(now):
        return None, f"outputs {sorted(now)} instead of {sorted(before)}"
    largest = 0.0
    for name, array in before.items():
        if array.shape != now[name].shape:
            return None, f"output {name} has shape {now[name].shape} instead of {array.shape}"
        if array.dtype.kind != now[name].dtype.kind:
            return None, f"output {name} is of type {now[name].dtype} instead of {array.dtype}"
        if array.dtype.kind == "f":
            if not np.array_equal(np.isfinite(array), np.isfinite(now[name])):
                return None, f"output {name} is not finite in the same places"
            apart = np.abs(np.nan_to_num(array) - np.nan_to_num(now[name]))
            largest = max(largest, float(apart.max(initial=0.0)))
        elif not np.array_equal(array, now[name]):
            first = int(np.flatnonzero((array != now[name]).reshape(len(array), -1).any(axis=1))[0])
            return None, f"output {name} differs, first for {before['ids'][first]}"
    if largest > tolerance:
        return largest, f"outputs differ by up to {largest:g}, more than {tolerance:g}"
    return largest, ""


def _compare_metrics(judged: dict[str, typing.Any], measured: dict[str, float | None]) -> str:
    """Returns which of the evaluator's metrics is not what its recorded predictions give."""
    for name, found in judged.items():
        before, after = found["value"], measured.get(name)
        if before is None or after is None:
            same = before is after
        else:
            same = math.isclose(before, after, rel_tol=1e-9, abs_tol=1e-12)  # sums depend on the processor
        if not same:
            return f"metric {name} is {after!r} instead of {before!r}"
    return ""
