"""What the commands on past runs share: opening a workspace, finding runs, artifacts and settings."""

import importlib
import os
import pathlib
import typing
from collections.abc import Sequence

import pydantic
import pydantic_core

from conveyor.cli.tables import flatten
from conveyor.pipeline.artifacts import MANIFEST, read_manifest
from conveyor.pipeline.errors import UserError, did_you_mean
from conveyor.pipeline.metadata import MetadataStore

LATEST = "latest"
DATABASE = "metadata.sqlite"
_FEWEST_CHARACTERS = 4  # of a digest
_MOST_OPTIONS = 10

Run = dict[str, typing.Any]
Record = dict[str, typing.Any]


def open_store(workspace: str | os.PathLike[str]) -> MetadataStore:
    """Opens the metadata of a workspace, and makes none where there is none.

    Raises:
        UserError: There is no workspace, or its metadata cannot be read.
    """
    path = pathlib.Path(workspace).expanduser().absolute() / DATABASE
    if not path.is_file():
        raise UserError(
            "there is no workspace here, so no run is recorded",
            where=str(path.parent),
            fix="name one with --workspace, or make one: conveyor run CONFIG",
        )
    return MetadataStore(path)


def find_run(runs: Sequence[Run], name: str) -> Run:
    """Returns the run that a name, its beginning, or "latest" means.

    Args:
        runs: All runs, newest first.
        name: What the user wrote.

    Raises:
        UserError: No run is meant, or several are; with close matches.
    """
    found = [run for run in runs if run["name"] == name] or [
        run for run in runs if name and run["name"].startswith(name)
    ]
    if name == LATEST:
        found = list(runs[:1])
    if len(found) == 1:
        return found[0]
    names = [run["name"] for run in found]
    if names:
        raise UserError(
            f"{len(names)} runs begin with {name!r}", received=_some(names), fix="write more of the name"
        )
    raise UserError(
        f"there is no run {name!r}",
        expected="the name of a run, its beginning, or 'latest'",
        fix=_nearest(name, [run["name"] for run in runs]) or "make one: conveyor run CONFIG",
    )


def locate_artifact(text: str, workspace: str) -> tuple[str, str]:
    """Returns the digest, or the beginning of one, that is meant, and the workspace it is of.

    Args:
        text: A digest's beginning, or the path of an artifact's directory or of a file in it.
        workspace: Root of the workspace, unless a path lies in another one.
    """
    path = pathlib.Path(text).expanduser().absolute()
    for folder in (path, *path.parents) if path.exists() else ():
        if (folder / MANIFEST).is_file():
            root = folder.parents[2]
            return read_manifest(folder)["digest"], str(root if (root / DATABASE).is_file() else workspace)
    return text, workspace


def find_artifact(store: MetadataStore, prefix: str) -> Record:
    """Returns the artifact whose digest starts with `prefix`: `digest`, `type`, `path`, `created`.

    Raises:
        UserError: `prefix` is too short, or means no artifact or several; with close matches.
    """
    expected = (
        f"a digest, or at least {_FEWEST_CHARACTERS} characters of its beginning, or an artifact's path"
    )
    if len(prefix) < _FEWEST_CHARACTERS:
        raise UserError(f"{prefix!r} is too short", expected=expected)
    found = store.find_artifacts(prefix)
    if len(found) == 1:
        return found[0]
    if found:
        names = [f"{artifact['digest']} ({artifact['type']})" for artifact in found]
        raise UserError(
            f"{len(found)} artifacts begin with {prefix!r}", received=_some(names), fix="write more of it"
        )
    newest = sorted(store.find_artifacts(""), key=lambda artifact: -artifact["created"])
    shown = max(len(prefix), 8)
    options = [artifact["digest"][:shown] for artifact in newest]
    raise UserError(f"there is no artifact {prefix!r}", expected=expected, fix=_nearest(prefix, options))


def run_settings(run: Run) -> dict[str, typing.Any]:
    """Returns dotted key -> value of a run's settings."""
    return flatten(run["settings"])


def chosen_settings(stage: str, settings: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Returns dotted key -> value of the settings of a stage that differ from its defaults.

    Of a stage that is not one of ours, all are returned.
    """
    try:
        module = importlib.import_module(f"conveyor.components.{stage}.stage")
        chosen = _chosen(getattr(module, stage).settings_type.model_validate(settings))
    except (ImportError, AttributeError, pydantic.ValidationError):  # not ours, or not of this version
        return flatten(settings)
    return {key: value for key, value in flatten(chosen).items() if value != {}}


def _chosen(settings: pydantic.BaseModel) -> dict[str, typing.Any]:
    """Returns the fields that differ from their defaults, with the tags that say which kind each is."""
    found = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        tag = (
            typing.get_origin(field.annotation) is typing.Literal
            and len(typing.get_args(field.annotation)) == 1
        )
        if tag or field.is_required() or value != field.get_default(call_default_factory=True):
            inner = isinstance(value, pydantic.BaseModel)
            found[name] = _chosen(value) if inner else pydantic_core.to_jsonable_python(value)
    return found


def _nearest(name: str, options: Sequence[str]) -> str:
    """Returns close matches, or else the first few options."""
    hint = did_you_mean(name, options)
    return hint if hint.startswith("did you mean") else did_you_mean(name, options[:_MOST_OPTIONS])


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_OPTIONS
    return ", ".join(names[:_MOST_OPTIONS]) + (f" and {more} more" if more > 0 else "")
