"""Class folders: `DIR/<class>/image`, or `DIR/<split>/<class>/image`."""

import collections
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence

from absl import logging
from conveyor.components.example_gen.readers.reader import RawExample, cut
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.fingerprint import fingerprint_files

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


class FolderReader:
    """Reads class folders. Files whose name is not that of an image are not data.

    Args:
        folder: The directory that holds class folders, or split folders that hold them.

    Raises:
        UserError: It is missing, no directory, or holds no image below a class folder.
    """

    def __init__(self, folder: str):
        self.folder = os.path.abspath(os.path.expanduser(folder))
        if not folder or not os.path.isdir(self.folder):
            raise UserError(
                "data.source: the folder does not exist",
                expected="folder:DIR, a directory of class folders",
                received=f"folder:{folder}",
                where=self.folder if folder else "",
            )
        if not self._files:
            raise UserError(
                "data.source: the folder holds no images in class folders",
                expected=f"{folder}/<class>/<image>, or {folder}/train/<class>/<image> …",
                received=f"{len(os.listdir(self.folder))} entries, none of them a folder of images",
                where=self.folder,
                fix=f"image files are known by their names: {', '.join(sorted(SUFFIXES))}",
            )

    @functools.cached_property
    def _files(self) -> list[tuple[str, str, str]]:
        """(relative path, class, split) of every image, sorted by path."""
        tops = sorted(entry.name for entry in os.scandir(self.folder) if _is_folder(entry))
        in_splits = bool(tops) and all(name.lower() in SPLITS for name in tops)
        found = []
        ignored: collections.Counter[str] = collections.Counter()
        for path in _walk(self.folder):
            parts = path.split("/")
            split = SPLITS[parts.pop(0).lower()] if in_splits and len(parts) > 1 else ""
            suffix = os.path.splitext(path)[1].lower()
            if suffix in SUFFIXES and len(parts) > 1:
                found.append((path, parts[0], split))
            else:
                ignored[suffix or "no suffix"] += 1
        if ignored:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(ignored.items()))
            logging.info("files in %s that are no images in class folders: %s", self.folder, kinds)
        return found

    def classes(self) -> list[str]:
        # A class folder without images is a class too: that it is empty must not go unnoticed.
        return sorted({label for _, label, _ in self._files} | self._class_folders())

    def _class_folders(self) -> set[str]:
        parents = [self.folder]
        if self.splits():
            parents = [entry.path for entry in os.scandir(self.folder) if _is_folder(entry)]
        return {entry.name for parent in parents for entry in os.scandir(parent) if _is_folder(entry)}

    def splits(self) -> set[str]:
        return {split for _, _, split in self._files if split}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        return fingerprint_files(self.folder, [path for path, _, _ in self._files], workspace)

    def chunks(self) -> list[Sequence[tuple[str, str, str]]]:
        # In the order of hashed paths, so that every shard holds a mix of classes.
        return cut(sorted(self._files, key=lambda file: hashlib.sha256(file[0].encode()).digest()))

    def read(self, chunk: Sequence[tuple[str, str, str]]) -> Iterator[RawExample]:
        for path, label, split in chunk:
            try:
                with open(os.path.join(self.folder, path), "rb", buffering=0) as file:
                    yield RawExample(path, label, split, file.read())
            except OSError as error:
                yield RawExample(path, label, split, None, str(error.strerror))

    def __getstate__(self) -> dict[str, str]:
        return {"folder": self.folder}  # workers get chunks, they need no listing


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _walk(folder: str) -> Iterator[str]:
    """Yields the relative POSIX paths of files that are not hidden, sorted."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = os.path.relpath(parent, folder).replace(os.sep, "/")
        for name in sorted(names):
            if not name.startswith("."):
                yield name if base == "." else f"{base}/{name}"
