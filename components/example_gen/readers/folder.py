"""Class folders: `DIR/<class>/image`, or `DIR/<split>/<class>/image`."""

import collections
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence

from absl import logging

from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import cut
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
        UserError: It is missing, no directory, holds no image below a class folder, or mixes
            splits with other folders.
    """

    annotations: frozenset[str] = frozenset({"label"})

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
        paths = sorted(_walk(self.folder))
        images = [path.split("/") for path in paths if _suffix(path) in SUFFIXES and "/" in path]
        in_splits = self._has_splits(images)
        found = []
        for parts in images:
            split = SPLITS[parts[0].lower()] if in_splits else ""
            folders = parts[1:-1] if in_splits else parts[:-1]
            if folders:
                found.append(("/".join(parts), _printable(folders[0]), split))
        ignored = collections.Counter(map(_suffix, paths)) - collections.Counter(_suffix(f[0]) for f in found)
        if ignored:
            kinds = ", ".join(f"{count} {suffix or 'no suffix'}" for suffix, count in sorted(ignored.items()))
            logging.info("files in %s that are no images in class folders: %s", self.folder, kinds)
        return found

    def _has_splits(self, images: list[list[str]]) -> bool:
        """Whether the top folders are splits; each image is given by the parts of its path."""
        tops = {parts[0] for parts in images}
        splits = {name for name in tops if name.lower() in SPLITS}
        nested = {parts[0] for parts in images if len(parts) > 2}
        # One of that name may be a class (there are trains); two with folders in them are no accident.
        if splits != tops and len({SPLITS[name.lower()] for name in splits & nested}) > 1:
            raise UserError(
                "data.source: some folders are named like splits, others are not",
                expected="only class folders, or only split folders that hold class folders",
                received=", ".join(sorted(map(_printable, tops))),
                where=self.folder,
                fix="move or rename the folders that are no splits",
            )
        return bool(tops) and splits == tops

    def classes(self) -> list[str]:
        # A class folder without images is a class too: that it is empty must not go unnoticed.
        return sorted({label for _, label, _ in self._files} | self._class_folders())

    def _class_folders(self) -> set[str]:
        parents = [self.folder]
        if self.splits():
            tops = (entry for entry in os.scandir(self.folder) if _is_folder(entry))
            parents = [entry.path for entry in tops if entry.name.lower() in SPLITS]
        found = (entry for parent in parents for entry in os.scandir(parent) if _is_folder(entry))
        return {_printable(entry.name) for entry in found}

    def splits(self) -> set[str]:
        return {split for _, _, split in self._files if split}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        return fingerprint_files(self.folder, [path for path, _, _ in self._files], workspace)

    def chunks(self) -> list[Sequence[tuple[str, str, str]]]:
        # In the order of hashed paths, so that every shard holds a mix of classes.
        return cut(sorted(self._files, key=lambda file: hashlib.sha256(os.fsencode(file[0])).digest()))

    def read(self, chunk: Sequence[tuple[str, str, str]]) -> Iterator[RawExample]:
        for path, label, split in chunk:
            try:
                with open(os.path.join(self.folder, path), "rb", buffering=0) as file:
                    yield RawExample(_printable(path), label, split, file.read())
            except OSError as error:
                yield RawExample(_printable(path), label, split, None, str(error.strerror))

    def __getstate__(self) -> dict[str, str]:
        return {"folder": self.folder}  # workers get chunks, they need no listing


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir() and not entry.name.startswith(".")


def _walk(folder: str, inside: tuple[str, ...] = ()) -> Iterator[str]:
    """Yields the relative POSIX paths of files that are not hidden; follows links, but in no circle."""
    real = os.path.realpath(folder)
    if real in inside:
        return
    for entry in os.scandir(folder):
        if _is_folder(entry):
            yield from (f"{entry.name}/{path}" for path in _walk(entry.path, (*inside, real)))
        # A link to nowhere is to be noticed; a device or a pipe is not to be read.
        elif not entry.name.startswith(".") and (entry.is_file() or entry.is_symlink()):
            yield entry.name


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _printable(name: str) -> str:
    """Returns a file name as valid text; bytes that are none appear as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
