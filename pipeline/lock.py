"""Locks between processes, which the system frees when their holder dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
    """Holds the lock file at `path`, making it when absent.

    Raises:
        BlockingIOError: Another process holds it, and `wait` is False.
    """
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
