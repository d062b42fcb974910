"""A serving folder: `<base>/<version>/`, integers, of which the highest is served; nothing is overwritten."""

import contextlib
import json
import pathlib
import re
import secrets
import shutil
import typing
from collections.abc import Mapping

from etils import epath

from conveyor.pipeline.digest import digest_file, list_files
from conveyor.pipeline.errors import StageError, UserError

PROVENANCE = "assets.extra/conveyor.json"
_KINDS = {"model": str, "copy_of": int, "instead_of": dict}  # what is relied on, wherever a file comes from
_TRIES = 20
_BLOCK = 1 << 20


def open_base(base: str) -> epath.Path:
    """Makes the base directory if it is not there.

    Raises:
        UserError: It cannot be made.
    """
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


def versions(folder: epath.Path) -> list[int]:
    """Returns the versions present, newest first."""
    names = (path.name for path in folder.iterdir())
    return sorted((int(name) for name in names if re.fullmatch("[0-9]{1,18}", name)), reverse=True)


def newest(base: str) -> epath.Path | None:
    """Returns the version that is served, None for none."""
    folder = epath.Path(base)
    present = versions(folder) if folder.is_dir() else []
    return folder / str(present[0]) if present else None


def provenance(version: epath.Path) -> dict[str, typing.Any]:
    """Returns what a version says about where it comes from; {} if that was not written by this package."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((version / PROVENANCE).read_text())
        known = _KINDS.keys() & found.keys() if isinstance(found, dict) else set()
        if "model" in known and all(isinstance(found[key], _KINDS[key]) for key in known):
            return found
    return {}


def publish(
    files: Mapping[str, pathlib.Path | epath.Path], folder: epath.Path, origin: dict[str, typing.Any]
) -> int:
    """Copies files to the next version, all or nothing.

    Args:
        files: Path in the version -> where the file is.
        folder: The serving folder.
        origin: What the version is to say about where it comes from.

    Returns:
        The version.
    """
    partial = folder / f".partial-{secrets.token_hex(4)}"
    try:
        for name, source in files.items():
            _copy(source, partial / name)
        written = partial / PROVENANCE
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(json.dumps(origin, indent=1))
        return _claim(partial, folder)
    finally:
        if partial.exists():
            partial.rmtree()


def fetch(version: epath.Path, folder: pathlib.Path) -> pathlib.Path:
    """Returns where a version's files are on this machine's disk.

    Args:
        version: In a serving folder.
        folder: Where to copy it to if it is elsewhere.
    """
    if "://" not in str(version):
        return pathlib.Path(version)
    for name in list_version(version):
        _copy(version / name, epath.Path(folder / name))
    return folder


def _copy(source: pathlib.Path | epath.Path, target: epath.Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer, _BLOCK)  # variables may be larger than memory
    if "://" not in f"{source}{target}" and digest_file(str(target)) != digest_file(str(source)):
        raise StageError("a file was not copied as it is", where=str(target))


def _claim(partial: epath.Path, folder: epath.Path) -> int:
    """Renames to the next free version; another process may take one in the meantime."""
    for _ in range(_TRIES):
        version = max(versions(folder), default=0) + 1
        target = folder / str(version)
        try:
            partial.rename(target)
            return version
        except OSError:
            if not target.exists():  # refused for another reason than that it was taken
                raise
    raise UserError("no version number could be claimed", where=str(folder))


def remove_old(folder: epath.Path, keep: int) -> list[int]:
    """Removes all but the newest versions, of those that this package has written.

    Args:
        folder: The serving folder.
        keep: How many to leave, at least 1.

    Returns:
        The versions removed, oldest first.
    """
    ours = [version for version in versions(folder) if provenance(folder / str(version))]
    removed = sorted(ours[keep:])
    for version in removed:
        hidden = folder / f".removed-{version}-{secrets.token_hex(4)}"
        (folder / str(version)).rename(hidden)  # so that no server sees half of one
        hidden.rmtree()
    return removed


def list_version(version: epath.Path) -> list[str]:
    """Returns the paths of all files of a version but its provenance, relative to it."""
    found = list_files(version) if "://" not in str(version) else _walk(version)
    return [name for name in found if name != PROVENANCE]


def _walk(folder: epath.Path, below: str = "") -> list[str]:
    names: list[str] = []
    for path in sorted(folder.iterdir()):
        name = f"{below}{path.name}"
        names += _walk(path, f"{name}/") if path.is_dir() else [name]
    return names
