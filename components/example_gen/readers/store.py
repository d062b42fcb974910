"""Object stores, gs:// and s3://: what they list, and each object read whole, once.

Through the file systems of fsspec that etils.epath opens, not its paths: those tell of a folder nothing
but names, and would import TensorFlow.
"""

import atexit
import collections
import concurrent.futures
import contextlib
import errno
import functools
import hashlib
import itertools
import os
import shutil
import tempfile
import threading
import typing
from collections.abc import Callable, Iterable, Iterator

from etils.epath import backend

from conveyor.pipeline.errors import UserError

_PACKAGES = {"gs://": ("gcsfs", "gcp"), "s3://": ("s3fs", "s3")}  # package, and the extra it comes with
SCHEMES = tuple(_PACKAGES)
# What tells that an object changed, the surest first: as gcsfs, s3fs and other file systems call it.
_STAMPS = ("md5Hash", "ETag", "etag", "mtime", "updated", "LastModified", "created")
_AHEAD = 8
_AT_ONCE = 16  # requests
_BLOCK = 1 << 20  # bytes
_ERRNOS = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES, IsADirectoryError: errno.EISDIR}
_COPYING = threading.Lock()
T = typing.TypeVar("T")
R = typing.TypeVar("R")


def is_remote(path: str) -> bool:
    """Whether a path is in an object store."""
    return path.startswith(SCHEMES)


def kind_of(path: str) -> str:
    """Returns "file", "directory", or "" where there is neither; of a local path too."""
    if not is_remote(path):
        return "directory" if os.path.isdir(path) else "file" if os.path.isfile(path) else ""
    try:
        with _told(path):
            system = backend.fsspec_backend.fs(path)
            system.invalidate_cache(path)  # what an earlier run of this process saw may be no more
            return system.info(path)["type"]
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unreachable(path, error) from None


def list_folder(path: str) -> tuple[dict[str, str], list[str]]:
    """Lists what is directly below a path, in one request.

    Returns:
        Name -> stamp (size, and what changes with the content) of the objects, and the names of folders.
        Nothing where there is nothing.

    Raises:
        UserError: The store cannot be reached, or refuses.
    """
    try:
        with _told(path):
            entries = backend.fsspec_backend.fs(path).ls(path, detail=True, refresh=True)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        raise _unreachable(path, error) from None
    own = path.partition("://")[2]
    files, folders = {}, []
    for entry in entries:
        parent, _, name = entry["name"].rstrip("/").rpartition("/")
        if not name or not parent.endswith(own):  # the folder itself, which some stores keep an object for
            continue
        if entry["type"] == "directory":
            folders.append(name)
        elif not entry["name"].endswith("/"):
            files[name] = _stamp(entry)
    return files, folders


def read_object(path: str, limit: int) -> bytes:
    """Returns an object.

    Raises:
        OSError: There is none, it may not be read, or is larger than `limit` bytes.
        UserError: The store cannot be reached.
    """
    with _told(path), backend.fsspec_backend.fs(path).open(path, "rb") as file:
        size = file.size
        data = file.read() if size <= limit else b""
    if size > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", path)
    return data


def local_copy(path: str) -> str:
    """Returns a local file with the content of a file: itself, or a copy that this process made of it.

    What must be read more than once, or not in order, is copied: an object is read once. Copies are
    removed when the process ends.
    """
    if not is_remote(path):
        return path
    with _COPYING:
        with _told(path):
            key = f"{path} {_stamp(backend.fsspec_backend.fs(path).info(path))}"
        target = os.path.join(_copies(), hashlib.sha256(key.encode()).hexdigest())
        if not os.path.exists(target):
            with open(f"{target}.part", "wb") as file:
                file.writelines(_blocks(path))
            os.replace(f"{target}.part", target)
        return target


@functools.cache
def _copies() -> str:
    folder = tempfile.mkdtemp(prefix="conveyor-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _blocks(path: str) -> Iterator[bytes]:
    with _told(path), backend.fsspec_backend.fs(path).open(path, "rb") as file:
        while block := file.read(_BLOCK):
            yield block


def each(function: Callable[[T], R], items: Iterable[T], path: str) -> Iterator[R]:
    """Yields what a function makes of each item, in order; of what is below a remote path several at once.

    Over a network one request after the other would wait for most of its time. Local files are read a few
    ahead: a call of the operating system slows down what comes after it, here the work on each image.
    """
    if not is_remote(path):
        left = iter(items)
        while block := [function(item) for item in itertools.islice(left, _AHEAD)]:
            yield from block
        return
    pool = concurrent.futures.ThreadPoolExecutor(_AT_ONCE)
    waiting: collections.deque[concurrent.futures.Future[R]] = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= _AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _stamp(entry: dict[str, typing.Any]) -> str:
    told = next((f"{name} {entry[name]}" for name in _STAMPS if entry.get(name)), "")
    return f"{entry.get('size')} {told}"


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Gives errors of a store the form of the operating system's, or of a message to the user."""
    try:
        yield
    except ImportError as error:
        package, extra = _PACKAGES[path[:5]]
        raise UserError(
            f"data.source: {path[:5]} needs the package {package}",
            received=str(error),
            where=path,
            fix=f'pip install "conveyor[{extra}]"',
        ) from None
    except tuple(_ERRNOS) as error:
        number = next(number for kind, number in _ERRNOS.items() if isinstance(error, kind))
        raise OSError(number, os.strerror(number), path) from None
    except Exception as error:  # libraries of object stores have no common base of errors
        raise _unreachable(path, error) from None


def _unreachable(path: str, error: Exception) -> UserError:
    return UserError(
        "data.source: the object store cannot be read",
        received=f"{type(error).__name__}: {error}",
        where=path,
        fix="check address, network and credentials",
    )
