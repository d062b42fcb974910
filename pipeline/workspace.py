"""The workspace: one directory that holds artifacts, metadata, runs, and nothing half done.

artifacts/<type>/<digest>/   published, immutable
staging/<run>/<stage>/       being written; removed when its run has ended or died
scratch/<key>/               outlives a crash: checkpoints of an execution under way
runs/<run>/summary.json
locks/<key>                  held while an execution is under way
metadata.sqlite
"""

import contextlib
import fcntl
import json
import os
import pathlib
import secrets
import shutil
import time
import typing
from collections.abc import Iterator

from conveyor.pipeline.artifacts import Artifact, is_complete, seal
from conveyor.pipeline.errors import UserError, from_os_error
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

    def new_run(self, config: str) -> str:
        """Records a new run and makes its directory; returns its name."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = f"{stamp}-{config}-{secrets.token_hex(2)}"
        (self.root / "runs" / name).mkdir()
        self.store.start_run(name, config)
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
        mine.mkdir()
        with _locked(mine.with_suffix(".lock")):
            self._clear_dead(run)
            try:
                yield mine
            finally:
                shutil.rmtree(mine, ignore_errors=True)
        mine.with_suffix(".lock").unlink(missing_ok=True)

    def _clear_dead(self, run: str) -> None:
        for folder in (self.root / "staging").iterdir():
            if folder.is_dir() and folder.name != run:
                with contextlib.suppress(BlockingIOError):
                    with _locked(folder.with_suffix(".lock"), wait=False):
                        shutil.rmtree(folder, ignore_errors=True)
                    folder.with_suffix(".lock").unlink(missing_ok=True)

    @contextlib.contextmanager
    def execution_lock(self, key: str) -> Iterator[None]:
        """Lets one process at a time work at an execution; the system frees it if that dies."""
        with _locked(self.root / "locks" / key):
            yield

    def publish(self, artifact: Artifact, producer: dict[str, str]) -> pathlib.Path:
        """Seals an output and renames it into place; returns its final directory.

        An artifact of the same digest that is already there is kept: it has the same content.
        """
        digest = seal(artifact, producer)
        final = self.path_of(artifact.type_name(), digest)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists() and not is_complete(final):
            shutil.rmtree(final)
        if not final.exists():
            with contextlib.suppress(OSError):  # another run published it in the meantime
                os.rename(artifact.path, final)
        if not is_complete(final):
            raise UserError("an artifact could not be published", where=str(final))
        return final

    def path_of(self, kind: str, digest: str) -> pathlib.Path:
        """Where an artifact of this type and digest lies."""
        return self.root / "artifacts" / kind / digest


@contextlib.contextmanager
def _locked(path: pathlib.Path, wait: bool = True) -> Iterator[None]:
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
