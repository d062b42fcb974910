"""Names: of splits, of image files, and those of unknown origin, made safe to open and to show."""

import os
import re

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
)
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# An image that several splits claim is taken for the first of these: what is tested must not be learned.
SPLIT_ORDER = ("test", "validation", "train", "")
_SPLIT_WORD = re.compile(rf"(?:^|[^a-z])({'|'.join(SPLITS)})(?:(?:19|20)\d\d)?$")
_DRIVE = re.compile(r"[A-Za-z]:")


class UnsafePathError(ValueError):
    """A path that is absolute or leaves its folder."""


def safe_path(name: str) -> str:
    """Returns a relative path in its plainest form: with "/" only, without "." and "//".

    Raises:
        UnsafePathError: It is absolute, leaves its folder, or no file can be called so.
    """
    path = name.strip().replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or "\0" in path:
        raise UnsafePathError(f"{shown(name)} names no file")
    if path.startswith(("/", "~")) or _DRIVE.match(path) or "://" in path:
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
    """Whether a file is called like an image, and is not hidden."""
    return suffix(path) in SUFFIXES and not os.path.basename(path).startswith(".")


def split_of(stem: str) -> str:
    """Returns the split that a name ends in, such as "instances_val2017" in "validation"; else ""."""
    found = _SPLIT_WORD.search(stem.lower())
    return SPLITS[found[1]] if found else ""
