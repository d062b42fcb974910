"""Digests of files outside the workspace, by content, reading each file once until it changes."""

import concurrent.futures
import os
import pathlib
import time

from conveyor.pipeline.digest import digest_file, digest_of
from conveyor.pipeline.metadata import MetadataStore

_UNREADABLE = "unreadable"
_TICK = 2_000_000_000  # ns: the coarsest modification times in use, those of FAT


def fingerprint_files(root: str, names: list[str], workspace: pathlib.Path) -> str:
    """Returns a digest of names and contents of files.

    A file whose size and modification time are those of an earlier look is not read again. A
    touched file is, but as its content is the same the fingerprint is too.

    Args:
        root: The folder the names are relative to.
        names: Relative paths.
        workspace: Whose metadata store remembers the digests.
    """
    store = MetadataStore(workspace / "metadata.sqlite")
    paths = [os.path.join(root, name) for name in names]
    known = store.known_files(paths)
    # A file changed within this tick may change once more and keep its time: read it again next time.
    settled = time.time_ns() - _TICK
    digests: dict[str, str] = {}
    fresh: dict[str, tuple[int, int]] = {}
    for path in paths:
        try:
            stat = os.stat(path)
        except OSError:
            digests[path] = _UNREADABLE
            continue
        size, mtime, digest = known.get(path, (-1, -1, ""))
        if (size, mtime) == (stat.st_size, stat.st_mtime_ns):
            digests[path] = digest
        else:
            fresh[path] = (stat.st_size, stat.st_mtime_ns)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        digests.update(zip(fresh, pool.map(_digest, fresh), strict=True))
    store.remember_files(
        [
            (path, size, mtime, digests[path])
            for path, (size, mtime) in fresh.items()
            if digests[path] != _UNREADABLE and mtime < settled
        ]
    )
    return digest_of({name: digests[path] for name, path in zip(names, paths, strict=True)})


def _digest(path: str) -> str:
    try:
        return digest_file(path)
    except OSError:
        return _UNREADABLE
