"""Files of a source: which there are, which names are safe, and what to say of those that are not there."""

import hashlib
import json
import math
import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence

from conveyor.components.example_gen.readers.folder import SPLITS, SUFFIXES
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import cut
from conveyor.pipeline.errors import UserError

# An image that several splits claim is taken for the first of these: what is tested must not be learned.
SPLIT_ORDER = ("test", "validation", "train", "")
_SPLIT_WORD = re.compile(rf"(?:^|[^a-z])({'|'.join(SPLITS)})(?:(?:19|20)\d\d)?$")
_DRIVE = re.compile(r"[A-Za-z]:")
T = typing.TypeVar("T")


class UnsafePathError(ValueError):
    """A path that is absolute or leaves its folder."""


class Listing:
    """The files below a folder: every directory is listed once, and no file is looked at by itself.

    Args:
        root: The folder.
    """

    def __init__(self, root: str):
        self.root = root
        self._known: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {}

    def has(self, path: str) -> bool:
        """Whether there is a file of this relative path."""
        folder, name = os.path.split(path)
        return name in self.files(folder)

    def files(self, folder: str = "") -> frozenset[str]:
        """Returns the names of the files in a directory; none where there is no such directory."""
        return self._list(folder)[0]

    def folders(self, folder: str = "") -> tuple[str, ...]:
        """Returns the names of the directories in a directory that are not hidden, sorted."""
        return self._list(folder)[1]

    def walk(self, folder: str = "", inside: tuple[str, ...] = ()) -> Iterator[str]:
        """Yields the relative paths of all files that are not hidden; follows links, but in no circle."""
        real = os.path.realpath(os.path.join(self.root, folder))
        if real in inside:
            return
        for name in sorted(self.files(folder)):
            if not name.startswith("."):
                yield os.path.join(folder, name)
        for name in self.folders(folder):
            yield from self.walk(os.path.join(folder, name), (*inside, real))

    def _list(self, folder: str) -> tuple[frozenset[str], tuple[str, ...]]:
        if folder not in self._known:
            files, folders = [], []
            try:
                for entry in os.scandir(os.path.join(self.root, folder)):
                    if entry.is_dir():
                        folders.append(entry.name)
                    # A link to nowhere is to be noticed; a device or a pipe is not to be read.
                    elif entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
                        files.append(entry.name)
            except (OSError, ValueError):  # not there, or a name that can be none
                pass
            seen = sorted(name for name in folders if not name.startswith("."))
            self._known[folder] = frozenset(files), tuple(seen)
        return self._known[folder]


def safe_path(name: str) -> str:
    """Returns a relative path in its plainest form: with "/" only, without "." and "//".

    Raises:
        UnsafePathError: It is absolute, leaves its folder, or no file can be called so.
    """
    path = name.strip().replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or "\0" in path:
        raise UnsafePathError(f"{shown(name)} names no file")
    if path.startswith(("/", "~")) or _DRIVE.match(path):
        raise UnsafePathError(f"{shown(name)} is absolute")
    if ".." in parts:
        raise UnsafePathError(f"{shown(name)} may leave the source's folder")
    return "/".join(parts)


def printable(name: str) -> str:
    """Returns a name as valid text; bytes and code units that are none appear as escapes."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


def shown(value: object, limit: int = 60) -> str:
    """Returns a value of hostile origin for a message: short, printable, and never slow to make."""
    if isinstance(value, (dict, list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and not -(10**18) < value < 10**18:
        return "a huge number"
    text = repr(value[:limit]) if isinstance(value, str) else repr(value)
    return text if len(text) <= limit + 2 else text[:limit] + "…"


def suffix(path: str) -> str:
    """Returns the suffix of a name in small letters, with its dot."""
    return os.path.splitext(path)[1].lower()


def is_image(path: str) -> bool:
    """Whether a file is called like an image."""
    return suffix(path) in SUFFIXES


def split_of(stem: str) -> str:
    """Returns the split that a name ends in, such as "instances_val2017" in "validation"; else ""."""
    found = _SPLIT_WORD.search(stem.lower())
    return SPLITS[found[1]] if found else ""


def read_limited(path: str, limit: int) -> bytes:
    """Returns the content of a file.

    Raises:
        OSError: It cannot be read, or holds more than `limit` bytes.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise OSError(0, f"larger than {limit:,} bytes")
        return file.read(limit)


def read_json(path: str, limit: int) -> typing.Any:
    """Returns the content of a JSON file.

    Raises:
        UserError: It cannot be read or parsed, or holds more than `limit` bytes.
    """
    try:
        data = read_limited(path, limit)
        try:
            return json.loads(data)
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise
        except ValueError:  # a number of more digits than Python turns into an integer
            return json.loads(data, parse_int=float)
    except json.JSONDecodeError as error:
        received = f"line {error.lineno}, column {error.colno}: {error.msg}"
    except UnicodeDecodeError:
        received = "bytes that are no text"
    except RecursionError:
        received = "lists nested too deeply"
    except OSError as error:
        received = str(error.strerror)
    raise UserError(
        "data.source: the JSON file cannot be read",
        expected=f"JSON of up to {limit:,} bytes",
        received=received,
        where=printable(path),
        fix="export it again",
    )


def identifier(value: typing.Any) -> int | float | str | None:
    """Returns a value of a JSON file that can name something, or None where it cannot."""
    usable = isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
    return value if usable and not isinstance(value, bool) else None


def number(value: typing.Any) -> float | None:
    """Returns a number of a JSON file, which may be infinite or NaN; None where it is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value > 0 or -1)


def read_image(root: str, path: str) -> tuple[bytes | None, str]:
    """Returns the bytes of an image, or None and why there are none."""
    try:
        with open(os.path.join(root, path), "rb", buffering=0) as file:
            return file.read(), ""
    except OSError as error:
        return None, str(error.strerror)


def rejected(key: str, reason: str, error: str, split: str = "") -> RawExample:
    """Returns what stands for something that cannot be used, so that nothing vanishes."""
    return RawExample(printable(key), "", split, None, error, reason)


def shuffled(items: Iterable[T], key: Callable[[T], str]) -> list[Sequence[T]]:
    """Cuts items into chunks in the order of hashed keys, so that every shard holds a mix."""
    hashed = (
        (hashlib.sha256(key(item).encode("utf-8", "backslashreplace")).digest(), item) for item in items
    )
    return cut([item for _, item in sorted(hashed, key=lambda pair: pair[0])])


def absolute(argument: str, usage: str) -> str:
    """Returns the absolute path of what `data.source` names.

    Args:
        argument: The text after the colon.
        usage: What was expected, for the message.

    Raises:
        UserError: It does not exist.
    """
    path = os.path.abspath(os.path.expanduser(argument))
    if not argument or "\0" in argument or not os.path.exists(path):
        raise UserError(
            "data.source: there is no such file or folder",
            expected=usage,
            received=printable(argument) or "nothing after the colon",
            where=printable(path) if argument else "",
            fix="check the path; a relative one starts at the working directory",
        )
    return path
