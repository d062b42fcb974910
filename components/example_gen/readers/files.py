"""All that readers do with files, local or in an object store: list them, and read each of them once."""

import errno
import fnmatch
import hashlib
import os
import pathlib
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence

from conveyor.components.example_gen.readers.names import printable
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import cut
from conveyor.components.example_gen.readers.store import is_remote, kind_of, list_folder, read_object
from conveyor.pipeline.digest import digest_of
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.fingerprint import fingerprint_files

MAX_IMAGE = 1 << 30  # bytes
MAX_LINKED = 100_000  # folders reached through links; those may multiply
T = typing.TypeVar("T")


class Listing:
    """The files below a folder: every directory is listed once, and no file is looked at by itself.

    Args:
        root: The folder.
    """

    def __init__(self, root: str):
        self.root = root
        # Folder -> stamp of each file (see store), and names of its folders.
        self._known: dict[str, tuple[dict[str, str], list[str]]] = {}

    def has(self, path: str) -> bool:
        """Whether there is a file of this relative path."""
        folder, name = os.path.split(path)
        return name in self.files(folder)

    def files(self, folder: str = "") -> typing.AbstractSet[str]:
        """Returns the names of the files in a directory; none where there is no such directory."""
        return self._list(folder)[0].keys()

    def folders(self, folder: str = "") -> list[str]:
        """Returns the names of the directories in a directory that are not hidden, sorted."""
        return sorted(name for name in self._list(folder)[1] if not name.startswith("."))

    def walk(self, folder: str = "") -> Iterator[str]:
        """Yields the relative paths of all files that are not hidden; follows links, but in no circle.

        Raises:
            UserError: Links lead to more folders than anybody has.
        """
        linked = 0
        stack: list[tuple[str, tuple[str, ...], bool]] = [(folder, (), False)]
        while stack:
            folder, inside, through_link = stack.pop()
            if not is_remote(self.root):
                path = os.path.join(self.root, folder)
                is_link = not inside or os.path.islink(path)
                real = os.path.realpath(path) if is_link else f"{inside[-1]}/{os.path.basename(folder)}"
                if real in inside:
                    continue
                through_link |= bool(inside) and is_link
                inside = (*inside, real)
            linked += through_link
            if linked > MAX_LINKED:
                raise UserError(
                    "data.source: links between folders lead to ever more of them",
                    expected=f"links to at most {MAX_LINKED:,} folders",
                    where=printable(os.path.join(self.root, folder)),
                    fix="remove links to folders that are in the source already",
                )
            yield from (os.path.join(folder, n) for n in sorted(self.files(folder)) if n[:1] != ".")
            below = [os.path.join(folder, name) for name in self.folders(folder)]
            stack += [(path, inside, through_link) for path in reversed(below)]

    def matching(self, pattern: str, folder: str = "") -> Iterator[str]:
        """Yields the relative paths of the files that match a pattern such as "train/*.tfrecord"."""
        head, _, rest = pattern.partition("/")
        for name in sorted(self._list(folder)[bool(rest)]):
            if fnmatch.fnmatchcase(name, head) and name.startswith(".") == head.startswith("."):
                path = os.path.join(folder, name)
                yield from self.matching(rest, path) if rest else [path]

    def fingerprint(self, paths: Iterable[str], workspace: pathlib.Path) -> str:
        """Returns a digest of files: of their contents, or in an object store of what it tells of them.

        Args:
            paths: Relative to the folder.
            workspace: Whose metadata store remembers digests.
        """
        names = sorted(set(paths))
        if not is_remote(self.root):
            return fingerprint_files(self.root, names, workspace)
        return digest_of({name: self._stamp(name) for name in names})

    def _stamp(self, path: str) -> str:
        folder, name = os.path.split(path)
        return self._list(folder)[0].get(name, "")

    def _list(self, folder: str) -> tuple[dict[str, str], list[str]]:
        if folder not in self._known:
            self._known[folder] = self._look(folder)
        return self._known[folder]

    def _look(self, folder: str) -> tuple[dict[str, str], list[str]]:
        if not is_remote(self.root):
            return _scan(os.path.join(self.root, folder))
        parent, name = os.path.split(folder)
        if name and name not in self._list(parent)[1]:  # no request for what is known not to be there
            return {}, []
        return list_folder(os.path.join(self.root, folder).rstrip("/"))


def _scan(path: str) -> tuple[dict[str, str], list[str]]:
    """Lists a local directory as `list_folder` does, without stamps."""
    files: dict[str, str] = {}
    folders = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                kind = _kind(entry)
                if kind == "folder":
                    folders.append(entry.name)
                elif kind == "file":
                    files[entry.name] = ""
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name that can be none
        return {}, []
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return {}, []
        raise  # that of what is there nothing can be seen must not go unnoticed
    return files, folders


def _kind(entry: "os.DirEntry[str]") -> str:
    """Returns "folder", "file", or "" for what is not to be read, such as a device or a pipe."""
    try:
        if entry.is_dir():
            return "folder"
        # A link to nowhere is to be noticed.
        return "file" if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)) else ""
    except OSError:  # a link that leads to itself
        return "file"


def read_limited(path: str, limit: int) -> bytes:
    """Returns the content of a file.

    Raises:
        OSError: It cannot be read, or holds more than `limit` bytes.
        UserError: The object store cannot be read.
    """
    if is_remote(path):
        return read_object(path, limit)
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", path)
        return file.read(size)


def read_image(root: str, path: str) -> tuple[bytes | None, str, str]:
    """Returns the bytes of an image; or None, a key of `REASONS`, and what exactly is wrong."""
    try:
        return read_limited(os.path.join(root, path), MAX_IMAGE), "unreadable", ""
    except OSError as error:
        reason = "too_large" if error.errno == errno.EFBIG else "unreadable"
        return None, reason, str(error.strerror)


def rejected(key: str, reason: str, error: str, split: str = "") -> RawExample:
    """Returns what stands for something that cannot be used, so that nothing vanishes."""
    return RawExample(printable(key), "", split, None, printable(error), reason)


def shuffled(items: Iterable[T], key: Callable[[T], str]) -> list[Sequence[T]]:
    """Cuts items into chunks in the order of hashed keys, so that every shard holds a mix."""
    hashed = (
        (hashlib.sha256(key(item).encode("utf-8", "backslashreplace")).digest(), item) for item in items
    )
    return cut([item for _, item in sorted(hashed, key=lambda pair: pair[0])])


def locate(argument: str, usage: str) -> tuple[str, bool]:
    """Returns the absolute path of what `data.source` names, and whether it is a folder.

    Args:
        argument: The text after the colon: a local path, or one that starts with gs:// or s3://.
        usage: What was expected, for the message.

    Raises:
        UserError: It does not exist.
    """
    path = argument.rstrip("/") if is_remote(argument) else os.path.abspath(os.path.expanduser(argument))
    kind = kind_of(path) if argument and "\0" not in argument else ""
    if not kind:
        raise UserError(
            "data.source: there is no such file or folder",
            expected=usage,
            received=printable(argument) or "nothing after the colon",
            where=printable(path) if argument else "",
            fix="check the path; one that does not exist here may start at another working directory",
        )
    return path, kind == "directory"
