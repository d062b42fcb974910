"""Versioned, atomic publication: `<base>/<version>/`, versions are integers, write then rename."""

import contextlib
import json
import pathlib
import re
import secrets
import shutil
import typing

from etils import epath

from conveyor.components.artifacts import Model
from conveyor.pipeline.artifacts import changed_files
from conveyor.pipeline.digest import digest_file, list_files
from conveyor.pipeline.errors import StageError, UserError

PROVENANCE = "assets.extra/conveyor.json"
_TRIES = 20
_BLOCK = 1 << 20


def push(model: Model, base: str, lineage: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Publishes a model's SavedModel as the next version below `base`.

    If the newest version, which is the one that is served, holds this model already, it is told
    instead of a new one.

    Args:
        model: A published Model artifact.
        base: Local directory, or gs:// or s3:// path.
        lineage: What to write beside the model about where it comes from.

    Returns:
        `destination`, `version` and `model` (digest of the artifact).

    Raises:
        UserError: `base` cannot be written.
        StageError: The artifact's files are not what was judged.
    """
    if changed := changed_files(model.path):
        raise StageError(
            f"the model changed after it was judged: {', '.join(changed[:5])}", where=str(model.path)
        )
    folder = _open_base(base)
    for newest in _versions(folder)[:1]:
        if _model_of(folder / str(newest)) == model.digest:
            return _document(folder, newest, model)
    partial = folder / f".partial-{secrets.token_hex(4)}"
    try:
        _copy(model.saved_model, partial)
        provenance = partial / PROVENANCE
        provenance.parent.mkdir(parents=True, exist_ok=True)
        provenance.write_text(json.dumps({"model": model.digest, **lineage}, indent=1))
        return _document(folder, _claim(partial, folder), model)
    finally:
        if partial.exists():
            partial.rmtree()


def _open_base(base: str) -> epath.Path:
    """Makes the base directory if it is not there."""
    folder = epath.Path(base)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(
            "pusher.to is no directory", expected="a directory, or a path to make one", received=base
        ) from None
    except Exception as error:  # libraries of object stores have no common base of errors
        if "://" not in base:
            raise
        raise UserError(
            "pusher.to cannot be reached",
            received=f"{base}: {type(error).__name__}: {error}",
            fix="check address, network and credentials; s3:// needs s3fs, and EPATH_USE_TF=0 set",
        ) from None
    return folder


def serves(destination: str, digest: str) -> bool:
    """Whether a version directory holds the model of this digest and is the newest beside its like."""
    version = epath.Path(destination)
    if _model_of(version) != digest:
        return False
    return str(_versions(version.parent)[0]) == version.name


def _document(folder: epath.Path, version: int, model: Model) -> dict[str, typing.Any]:
    return {"destination": str(folder / str(version)), "version": version, "model": model.digest}


def _versions(folder: epath.Path) -> list[int]:
    """Returns the versions present, newest first."""
    names = (path.name for path in folder.iterdir())
    return sorted((int(name) for name in names if re.fullmatch("[0-9]{1,18}", name)), reverse=True)


def _model_of(version: epath.Path) -> str | None:
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return json.loads((version / PROVENANCE).read_text())["model"]
    return None


def _copy(source: pathlib.Path, target: epath.Path) -> None:
    for name in list_files(source):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(source / name, "rb") as reader, path.open("wb") as writer:
            shutil.copyfileobj(reader, writer, _BLOCK)  # variables may be larger than memory
        if "://" not in str(target) and digest_file(str(path)) != digest_file(source / name):
            raise StageError("a file was not copied as it is", where=str(path))


def _claim(partial: epath.Path, folder: epath.Path) -> int:
    """Renames to the next free version; another process may take one in the meantime."""
    for _ in range(_TRIES):
        version = max(_versions(folder), default=0) + 1
        target = folder / str(version)
        try:
            partial.rename(target)
            return version
        except OSError:
            if not target.exists():  # refused for another reason than that it was taken
                raise
    raise UserError("no version number could be claimed", where=str(folder))
