"""Digests of values and of files: what caching, artifacts and reproducibility stand on."""

import hashlib
import json
import os
import pathlib
import typing

_LENGTH = 32  # hexadecimal characters kept of a SHA-256: 128 bits


def digest_of(value: typing.Any) -> str:
    """Returns the digest of a JSON-like value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def digest_file(path: str | os.PathLike[str]) -> str:
    """Returns the digest of a file's content."""
    hasher = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()[:_LENGTH]


def list_files(folder: pathlib.Path) -> list[str]:
    """Returns the relative POSIX paths of all files below `folder`, sorted."""
    found = []
    for parent, _, names in os.walk(folder):
        base = pathlib.Path(parent).relative_to(folder)
        found += [(base / name).as_posix() for name in names]
    return sorted(found)
