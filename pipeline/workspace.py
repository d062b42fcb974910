"""The workspace: one directory that holds artifacts, metadata, runs, and nothing half done.

artifacts/<type>/<digest>/   published, immutable
staging/<run>/<stage>/       being written; removed when its run has ended or died
scratch/<key>/               outlives a crash: checkpoints of an execution under way
runs/<run>/summary.json
locks/<key>                  held while an execution is under way; and locks/publish
metadata.sqlite
"""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import time
import typing
from collections.abc import Iterator, Mapping

from conveyor.pipeline.artifacts import Artifact, is_complete
from conveyor.pipeline.errors import UserError, from_os_error
from conveyor.pipeline.lock import locked
from conveyor.pipeline.metadata import MetadataStore


class Workspace:
    """Opens a workspace, making it when absent.

    Args:
        root: Its directory, on a local disk.

    Raises:
        UserError: The directory cannot be made or written.
    """

    def __init__(self, root: str | os.PathLike[str]):
        self.root = pathlib.Path(root).expanduser().absolute()
        try:
            for name in ("artifacts", "staging", "scratch", "runs", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            if not os.access(self.root, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", str(self.root))
            self.store = MetadataStore(self.root / "metadata.sqlite")
        except OSError as error:
            told = from_os_error(error)
            raise UserError(
                f"the workspace cannot be written: {error.strerror}",
                where=str(error.filename or self.root),
                fix=told.fix if told else "choose a directory with --workspace",
            ) from None

    def new_run(self, config: str, settings: Mapping[str, typing.Any]) -> str:
        """Records a new run and makes its directory; returns its name."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = f"{stamp}-{config}-{secrets.token_hex(4)}"
        (self.root / "runs" / name).mkdir()
        self.store.start_run(name, config, settings)
        return name

    def finish_run(self, run: str, summary: dict[str, typing.Any]) -> None:
        """Writes the run's summary.json and records it."""
        path = self.root / "runs" / run / "summary.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(summary, indent=2), encoding="utf-8")
        os.replace(partial, path)
        self.store.finish_run(run, summary)

    @contextlib.contextmanager
    def staging(self, run: str) -> Iterator[pathlib.Path]:
        """Gives a run its staging directory, and clears those of runs that died."""
        mine = self.root / "staging" / run
        with locked(_lock_of(mine)):  # before there is a folder: one that is not locked is a dead run's
            try:
                mine.mkdir()
                self._clear_dead(run)
                yield mine
            finally:
                _remove(mine)

    def _clear_dead(self, run: str) -> None:
        for folder in (self.root / "staging").iterdir():
            if folder.is_dir() and folder.name != run:
                with contextlib.suppress(OSError), locked(_lock_of(folder), wait=False):
                    _remove(folder)

    @contextlib.contextmanager
    def execution_lock(self, key: str) -> Iterator[None]:
        """Lets one process at a time work at an execution; the system frees it if that dies."""
        with locked(self.root / "locks" / key):
            yield

    def publish(self, artifact: Artifact) -> pathlib.Path:
        """Renames a sealed output into place; returns its final directory.

        An artifact of the same digest that is already there is kept: it has the same content.
        """
        final = self.path_of(artifact.type_name(), artifact.digest)
        final.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.root / "locks" / "publish"):
            if not is_complete(final):
                if final.exists():
                    shutil.rmtree(final)
                os.rename(artifact.path, final)
        return final

    def path_of(self, kind: str, digest: str) -> pathlib.Path:
        """Where an artifact of this type and digest lies."""
        return self.root / "artifacts" / kind / digest


def _lock_of(folder: pathlib.Path) -> pathlib.Path:
    return folder.with_name(folder.name + ".lock")


def _remove(folder: pathlib.Path) -> None:
    """Removes a staging folder with its lock file, which the caller holds."""
    shutil.rmtree(folder, ignore_errors=True)
    _lock_of(folder).unlink(missing_ok=True)
