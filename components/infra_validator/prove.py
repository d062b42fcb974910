"""Replays raw bytes through a SavedModel and compares with recorded predictions."""

import pathlib
import typing

import numpy as np
import tensorflow as tf
from conveyor.components.artifacts import Evaluation, Examples
from conveyor.components.datasets import read_split, replay
from conveyor.components.infra_validator.settings import InfraValidatorSettings
from conveyor.models.tasks.task import make_task


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
        `metrics`.
    """
    judged = evaluation.read()
    task = make_task(settings.task, examples.properties["classes"])
    served = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    parts = []
    dataset = read_split(examples, judged["split"])
    for batch, outputs in replay(served, dataset, task.truth, judged["batch_size"]):
        parts.append({"ids": batch["id"], "targets": batch["truth"], **outputs})
    now = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    with np.load(evaluation.predictions_file, allow_pickle=False) as recorded:
        before = {name: recorded[name] for name in recorded.files}
    difference, reason = _compare(before, now, settings.proof.tolerance)
    outputs = {name: array for name, array in now.items() if name not in ("ids", "targets")}
    metrics = task.measure(now["targets"], outputs)
    reason = reason or _compare_metrics(judged["metrics"], metrics, settings.proof.tolerance)
    return {
        "blessed": not reason,
        "reason": reason,
        "examples": len(now["ids"]),
        "largest_difference": difference,
        "metrics": metrics,
    }


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


def _compare_metrics(judged: dict[str, typing.Any], now: dict[str, float | None], tolerance: float) -> str:
    for name, found in judged.items():
        before, after = found["value"], now.get(name)
        if before is None or after is None:
            if before != after:
                return f"metric {name} is {after} instead of {before}"
        # a metric is a mean over examples, so it moves by no more than a few answers do
        elif abs(before - after) > max(tolerance, 0.0):
            return f"metric {name} is {after!r} instead of {before!r}"
    return ""
