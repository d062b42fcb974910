"""Class folders: `DIR/<class>/image`, or `DIR/<split>/<class>/image`."""

import collections
import functools
import pathlib
from collections.abc import Iterator, Sequence

from absl import logging

from conveyor.components.example_gen.readers.files import Listing, locate, read_image, shuffled
from conveyor.components.example_gen.readers.names import SPLITS, SUFFIXES, is_image, printable, suffix
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.store import each
from conveyor.pipeline.errors import UserError

USAGE = "folder:DIR, a directory of class folders"


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
        self.folder, is_folder = locate(folder, USAGE)
        if not is_folder:
            raise UserError("data.source: this is no folder", expected=USAGE, where=printable(self.folder))
        if not self._files:
            entries = len(self._listing.files()) + len(self._listing.folders())
            raise UserError(
                "data.source: the folder holds no images in class folders",
                expected="DIR/<class>/<image>, or DIR/train/<class>/<image> …",
                received=f"{entries} entries, none of them a folder of images",
                where=printable(self.folder),
                fix=f"image files are known by their names: {', '.join(sorted(SUFFIXES))}",
            )

    @functools.cached_property
    def _listing(self) -> Listing:
        return Listing(self.folder)

    @functools.cached_property
    def _files(self) -> list[tuple[str, str, str]]:
        """(relative path, class, split) of every image, sorted by path."""
        paths = sorted(self._listing.walk())
        images = [path.split("/") for path in paths if is_image(path) and "/" in path]
        in_splits = self._has_splits(images)
        found = []
        for parts in images:
            split = SPLITS[parts[0].lower()] if in_splits else ""
            folders = parts[1:-1] if in_splits else parts[:-1]
            if folders:
                found.append(("/".join(parts), printable(folders[0]), split))
        if len(found) < len(paths):
            ignored = collections.Counter(map(suffix, set(paths) - {path for path, _, _ in found}))
            kinds = ", ".join(f"{count} {kind or 'no suffix'}" for kind, count in sorted(ignored.items()))
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
                received=", ".join(sorted(map(printable, tops))),
                where=self.folder,
                fix="move or rename the folders that are no splits",
            )
        return bool(tops) and splits == tops

    def classes(self) -> list[str]:
        # A class folder without images is a class too: that it is empty must not go unnoticed.
        return sorted({label for _, label, _ in self._files} | self._class_folders())

    def _class_folders(self) -> set[str]:
        tops = self._listing.folders()
        parents = [top for top in tops if top.lower() in SPLITS] if self.splits() else [""]
        return {printable(name) for parent in parents for name in self._listing.folders(parent)}

    def splits(self) -> set[str]:
        return {split for _, _, split in self._files if split}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        return self._listing.fingerprint([path for path, _, _ in self._files], workspace)

    def chunks(self) -> list[Sequence[tuple[str, str, str]]]:
        return shuffled(self._files, lambda file: file[0])

    def read(self, chunk: Sequence[tuple[str, str, str]]) -> Iterator[RawExample]:
        yield from each(self._read, chunk, self.folder)

    def _read(self, file: tuple[str, str, str]) -> RawExample:
        path, label, split = file
        data, reason, error = read_image(self.folder, path)
        return RawExample(printable(path), label, split, data, error, reason)

    def __getstate__(self) -> dict[str, str]:
        return {"folder": self.folder}  # workers get chunks, they need no listing
