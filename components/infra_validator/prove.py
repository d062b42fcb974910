"""Replays raw bytes through the model server and compares with recorded predictions."""

import dataclasses
import math
import pathlib
import typing

import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Evaluation, Examples
from conveyor.components.datasets import read_split, replay
from conveyor.components.infra_validator.server import ModelServer, NotServedError
from conveyor.components.infra_validator.settings import InfraValidatorSettings
from conveyor.components.tasks import task_for
from conveyor.models.metrics.records import join
from conveyor.models.tasks.task import Task

_SINGLES = 100  # requests of one image, to tell how long one takes
_Outputs = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Proof:
    """What the proof came to.

    Args:
        document: `blessed`, `reason`, `examples`, `largest_difference` of any output, and the recomputed
            `metrics`, empty where the outputs are not those of the task.
        figures: A line on how fast the server was; "" if it did not answer.
    """

    document: dict[str, typing.Any]
    figures: str = ""


def prove(
    examples: Examples,
    saved_model: pathlib.Path,
    evaluation: Evaluation,
    settings: InfraValidatorSettings,
    fork: bool = False,
) -> Proof:
    """Starts the model server on a SavedModel, and asks it about all that the evaluator looked at.

    Args:
        examples: Where the raw bytes are.
        saved_model: What is to be served.
        evaluation: Metrics and predictions to compare with.
        settings: How alike they must be.
        fork: Whether the server's process may be forked from this one, see `ModelServer`.
    """
    try:
        with ModelServer(saved_model, evaluation.read()["batch_size"], fork) as server:
            document = compare(examples, _both(server), evaluation, settings)
            singles = [_time_one(server, row) for row in _some(examples, evaluation, settings)]
    except NotServedError as error:
        return Proof(_verdict(f"it cannot be served: {error}", 0, None, {}))
    p50, p99 = np.quantile(singles, [0.5, 0.99])
    figures = (
        f"the server answered {server.cold_start:.1f} s after its start; one image takes it"
        f" {1e3 * p50:.1f} ms (p99 {1e3 * p99:.1f} ms) and {server.memory():,.0f} MB of memory at most"
    )
    return Proof(document, figures)


def _both(server: ModelServer) -> typing.Callable[..., dict[str, tf.Tensor]]:
    """Returns what asks a server over gRPC and REST, and takes only the same answer."""

    def ask(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = server.by_grpc(images)
        rest = server.by_rest(images, outputs)
        _, reason = differ(outputs, rest, np.arange(len(images)), 0.0)
        if reason:
            raise NotServedError(f"REST and gRPC answer differently: {reason}")
        return {name: tf.constant(array) for name, array in outputs.items()}

    return ask


def _some(
    examples: Examples, evaluation: Evaluation, settings: InfraValidatorSettings
) -> typing.Iterator[tf.Tensor]:
    """Yields images to ask about one by one, string [1]."""
    task = task_for(settings.task, examples)
    for example in read_split(examples, evaluation.read()["split"]).take(_SINGLES):
        yield task.request(example)[tf.newaxis]


def _time_one(server: ModelServer, image: tf.Tensor) -> float:
    server.by_rest(image)
    return server.times[-1]


def compare(
    examples: Examples,
    served: typing.Callable[..., dict[str, tf.Tensor]],
    evaluation: Evaluation,
    settings: InfraValidatorSettings,
) -> dict[str, typing.Any]:
    """Compares one by one what a model answers now with what the evaluator recorded.

    Args:
        examples: Where the raw bytes are.
        served: Takes `images`, string [n], and returns outputs.
        evaluation: Metrics and predictions to compare with.
        settings: How alike they must be.

    Returns:
        The document of a `Proof`.
    """
    judged = evaluation.read()
    task = task_for(settings.task, examples)
    with np.load(evaluation.predictions_file, allow_pickle=False) as recorded:
        before = {name: recorded[name] for name in recorded.files}
    now, misfit = _answer(examples, served, task, judged)
    if misfit:
        return _verdict(misfit, len(now["ids"]), None, {})
    difference, reason = differ(before, now, before["ids"], settings.proof.tolerance)
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
    examples: Examples, served: typing.Any, task: Task, judged: dict[str, typing.Any]
) -> tuple[_Outputs, str]:
    """Returns what the evaluator records, now; or the first batch, and why its outputs cannot be judged."""
    dataset = read_split(examples, judged["split"])
    parts = []
    for batch, outputs in replay(served, dataset, task, judged["batch_size"]):
        misfit = task.check(outputs)
        if misfit:
            return {"ids": batch["id"]}, misfit
        parts.append({"ids": batch["id"], **task.record(batch["truth"], outputs)})
    return join(parts), ""


def _records(columns: _Outputs) -> _Outputs:
    return {name: array for name, array in columns.items() if name != "ids"}


def differ(before: _Outputs, now: _Outputs, ids: np.ndarray, tolerance: float) -> tuple[float | None, str]:
    """Returns the largest difference of any number, and what is wrong ("" for nothing).

    Args:
        before: Name -> a row for each example.
        now: The same.
        ids: What to call the examples.
        tolerance: Largest difference that is right.
    """
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
            return None, f"output {name} differs, first for {ids[first]}"
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
