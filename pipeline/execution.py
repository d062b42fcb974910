"""One execution of one stage, described in JSON: the same in process, forked or on a cluster."""

import importlib
import json
import pathlib
import traceback
import typing

from conveyor.pipeline.errors import ConveyorError, StageError, from_os_error
from conveyor.pipeline.stage import Context, Stage

Spec = dict[str, typing.Any]


def make_spec(
    stage: Stage,
    settings: dict[str, typing.Any],
    inputs: dict[str, str | None],
    outputs: dict[str, str],
    context: dict[str, typing.Any],
) -> Spec:
    """Describes an execution.

    Args:
        stage: What runs.
        settings: Its settings as JSON values.
        inputs: Input name -> directory of the artifact; None for an absent optional one.
        outputs: Output name -> empty directory to write to.
        context: Fields of `Context` as JSON values.
    """
    return {
        "stage": stage.reference,
        "settings": settings,
        "inputs": inputs,
        "outputs": outputs,
        "context": context,
    }


def execute(spec: Spec) -> dict[str, typing.Any]:
    """Runs what a spec describes.

    Returns:
        `properties` (output name -> properties), `looks` and `notes`; or `error`, the fields of a
        `ConveyorError`, and `traceback`, which is empty unless the failure is a bug.
    """
    try:
        return _execute(spec)
    except (Exception, SystemExit) as error:  # the boundary: whatever a stage raises is told to its caller
        told, trace = explain(error, spec["stage"])
        return {"error": told.to_dict(), "traceback": trace}


def explain(error: BaseException, stage: str) -> tuple[ConveyorError, str]:
    """Returns what to tell of an exception being handled, and its traceback where it is a bug."""
    told = error if isinstance(error, ConveyorError) else from_os_error(error)
    if isinstance(told, ConveyorError):
        return told, ""
    failure = StageError(f"{type(error).__name__}: {error}", where=f"stage {stage}")
    return failure, traceback.format_exc()


def _execute(spec: Spec) -> dict[str, typing.Any]:
    stage = resolve(spec["stage"])
    arguments: dict[str, typing.Any] = {}
    for name, port in stage.inputs.items():
        path = spec["inputs"][name]
        arguments[name] = port.type.load(path) if path else None
    for name, port in stage.outputs.items():
        arguments[name] = port.type(pathlib.Path(spec["outputs"][name]))
    fields = spec["context"]
    context = Context(
        **{
            **fields,
            "workspace": pathlib.Path(fields["workspace"]),
            "scratch": pathlib.Path(fields["scratch"]),
        }
    )
    settings = stage.settings_type.model_validate(spec["settings"])
    stage(**arguments, settings=settings, context=context)
    properties = {name: arguments[name].properties for name in stage.outputs}
    # A round trip through JSON, so that a cached result and a fresh one look the same.
    result = {"properties": properties, "looks": context.looks, "notes": context.notes}
    return json.loads(json.dumps(result, allow_nan=False))


def resolve(reference: str) -> Stage:
    """Returns the stage at "module:name"."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
