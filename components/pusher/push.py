"""Publishes a model below a serving folder, and takes a version back."""

import typing

from etils import epath

from conveyor.components.artifacts import Formats, Model
from conveyor.components.pusher.versions import (
    list_version,
    open_base,
    provenance,
    publish,
    remove_old,
    versions,
)
from conveyor.pipeline.artifacts import changed_files
from conveyor.pipeline.digest import list_files
from conveyor.pipeline.errors import StageError, UserError

FORMATS = "assets.extra/formats"


def push(
    model: Model, base: str, lineage: dict[str, typing.Any], keep: int, formats: Formats | None = None
) -> dict[str, typing.Any]:
    """Publishes a model's SavedModel as the next version below `base`.

    If the newest version, which is the one that is served, holds this model already, it is told
    instead of a new one.

    Args:
        model: A published Model artifact.
        base: Local directory, or gs:// or s3:// path.
        lineage: What to write beside the model about where it comes from.
        keep: How many versions to leave; older ones are removed.
        formats: The model in other formats, to lie in `FORMATS` of the version.

    Returns:
        `destination`, `version`, `model` (digest of the artifact) and `removed` (versions).

    Raises:
        UserError: `base` cannot be written, or the model was taken back.
        StageError: The artifact's files are not what was judged.
    """
    if changed := changed_files(model.path):
        raise StageError(
            f"the model changed after it was judged: {', '.join(changed[:5])}", where=str(model.path)
        )
    folder, kinds = open_base(base), formats.digest if formats else ""
    for newest in versions(folder)[:1]:
        origin = provenance(folder / str(newest))
        if origin.get("model") == model.digest and origin.get("formats", "") == kinds:
            return _document(folder, newest, model, [])
        _refuse_taken_back(model, folder / str(newest), origin)
    others = {"formats": kinds} if kinds else {}
    files = {name: model.saved_model / name for name in list_files(model.saved_model)}
    if formats:
        files |= {f"{FORMATS}/{name}": formats.files / name for name in list_files(formats.files)}
    version = publish(files, folder, {"model": model.digest, **others, **lineage})
    return _document(folder, version, model, remove_old(folder, keep))


def _refuse_taken_back(model: Model, newest: epath.Path, origin: dict[str, typing.Any]) -> None:
    if origin.get("instead_of", {}).get("model") == model.digest:
        raise UserError(
            "this model was taken back by conveyor rollback, and is not published again",
            where=str(newest),
            fix="train another one; or, to publish it all the same, remove that version",
        )


def _document(folder: epath.Path, version: int, model: Model, removed: list[int]) -> dict[str, typing.Any]:
    destination = str(folder / str(version))
    return {"destination": destination, "version": version, "model": model.digest, "removed": removed}


def describe(told: dict[str, typing.Any]) -> str:
    """Returns a line on a comparison, see `conveyor.components.pusher.golden`."""
    if told["problem"]:
        return f"version {told['version']} could not be asked: {told['problem']}"
    parts = []
    for name, found in told["outputs"].items():
        largest = "" if found["largest"] is None else f" (by up to {found['largest']:.3g})"
        parts.append(f"{name} {found['changed']}{largest}")
    return f"of {told['images']} images, answered unlike version {told['version']}: {', '.join(parts)}"


def serves(destination: str, digest: str) -> bool:
    """Whether a version directory holds the model of this digest and is the newest beside its like."""
    version = epath.Path(destination)
    if provenance(version).get("model") != digest:
        return False
    return str(versions(version.parent)[0]) == version.name


def roll_back(base: str, to: int | None = None) -> dict[str, typing.Any]:
    """Publishes an earlier version once more, as the next one: servers take the highest.

    Args:
        base: A serving folder.
        to: Which version; None for the last one that was served before and was not taken back.

    Returns:
        `destination`, `version`, `copy_of` (a version), `instead_of` (the version that was the newest) and
        `model` (digest of the Model artifact).

    Raises:
        UserError: There is no such folder or version.
    """
    folder = epath.Path(base)
    present = versions(folder) if folder.is_dir() else []
    if not present:
        raise UserError(
            "there is nothing to roll back", expected="a folder with integer versions", received=base
        )
    newest = present[0]
    origin = provenance(folder / str(newest))
    chosen = _earlier(folder, present, origin.get("copy_of", newest)) if to is None else to
    if chosen not in present or chosen == newest:
        raise UserError(
            "there is no such version to go back to",
            expected=f"one of {', '.join(map(str, present[1:])) or 'none: there is but one'}",
            received=str(chosen) if chosen else "no version before it",
            where=base,
        )
    source = folder / str(chosen)
    earlier = provenance(source)
    replaced = {"version": newest, "model": origin.get("model", "")}
    told = {"model": "", **earlier, "copy_of": earlier.get("copy_of", chosen), "instead_of": replaced}
    version = publish({name: source / name for name in list_version(source)}, folder, told)
    return {
        "destination": str(folder / str(version)),
        "version": version,
        "copy_of": chosen,
        "instead_of": newest,
        "model": told["model"],
    }


def _earlier(folder: epath.Path, present: list[int], before: int) -> int | None:
    """Returns the highest version before another that was not taken back itself."""
    origins = (provenance(folder / str(version)) for version in present)
    taken_back = {origin.get("instead_of", {}).get("version") for origin in origins}
    return next((version for version in present if version < before and version not in taken_back), None)
