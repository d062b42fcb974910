"""Which images and label files YOLO data has: of folders, of lists, and of nothing that names them."""

import collections
import dataclasses
import os
import typing

from conveyor.components.example_gen.readers.files import Listing, read_limited
from conveyor.components.example_gen.readers.names import (
    UnsafePathError,
    is_image,
    printable,
    safe_path,
    shown,
    suffix,
)
from conveyor.components.example_gen.readers.raw import Fault

MAX_LIST = 1 << 30  # bytes; a list of images
_NO_LABELS = frozenset(("classes.txt", "notes.txt", "readme.txt", "requirements.txt"))


@dataclasses.dataclass
class Item:
    """One example to be read, or what stands for something that cannot be.

    Args:
        key: Relative path of the image, or a name for what is no image.
        split: The split it is in; "" for none.
        reason: A key of `REASONS` where it cannot be read.
        error: Why it cannot.
        labels: Relative path of its label file; "" where there is none.
        faults: What is wrong with how it is listed.
    """

    key: str
    split: str = ""
    reason: str = ""
    error: str = ""
    labels: str = ""
    faults: tuple[Fault, ...] = ()


class Search:
    """Gathers the images of folders and lists, and what is wrong with them."""

    def __init__(self, listing: Listing):
        self.listing = listing
        self.found: dict[str, Item] = {}
        self.wrong: list[Item] = []
        self.lists: list[str] = []
        self.parts: collections.Counter[str] = collections.Counter()

    def add(self, origin: str, split: str, part: typing.Any) -> None:
        """Adds the images of a folder, or of a text file that lists them."""
        try:
            path = self._locate(part)
        except UnsafePathError as error:
            self.wrong.append(Item(self._key(origin), split, "unsafe_path", str(error)))
            return
        if path and suffix(path) == ".txt" and self.listing.has(path):
            self._add_list(path, split)
            return
        images = [name for name in self.listing.walk(path) if is_image(name)] if path is not None else []
        for name in images:
            self._add_image(name, split, origin)
        if not images:
            told = f"no images at {shown(part)}"
            self.wrong.append(Item(self._key(origin), split, "missing_image", told))

    def _locate(self, part: typing.Any) -> str | None:
        """Returns the relative path of a split; "" for the whole folder, None where it is no path."""
        if not isinstance(part, str):
            return None
        if part.strip() in (".", "./"):
            return ""
        # Exports of Roboflow say ../train/images of what lies beside the YAML file.
        return safe_path(part[3:] if part.startswith("../") else self._inside(part))

    def _inside(self, path: str) -> str:
        root = self.listing.root + os.sep
        return path[len(root) :] if path.startswith(root) else path

    def _add_list(self, path: str, split: str) -> None:
        self.lists.append(path)
        try:
            lines = text_lines(os.path.join(self.listing.root, path), MAX_LIST)
        except OSError as error:
            self.wrong.append(Item(self._key(path), split, "malformed", str(error.strerror)))
            return
        for number, line in enumerate(lines, 1):
            origin = f"{path}: line {number}"
            try:
                name = safe_path(self._inside(line.strip())) if line.strip() else ""
            except UnsafePathError as error:
                self.wrong.append(Item(origin, split, "unsafe_path", str(error)))
                continue
            beside = os.path.join(os.path.dirname(path), name)
            # Darknet starts paths at its own folder, in which the data is called "data".
            options = (name, beside, name.removeprefix("data/"))
            there = next((option for option in options if self.listing.has(option)), "")
            if there:
                self._add_image(there, split, origin)
            elif name:
                self.wrong.append(Item(origin, split, "missing_image", f"there is no {shown(name)}"))

    def _add_image(self, path: str, split: str, origin: str) -> None:
        first = self.found.setdefault(path, Item(path, split))
        if first.labels:  # seen before
            told = (
                "listed twice"
                if first.split == split
                else f"in {first.split} and {split}: taken for {first.split}"
            )
            first.faults += (Fault("duplicate_file", f"{told} ({printable(origin)})", "split"),)
        first.labels = first.labels or _label_path(path)

    def _key(self, origin: str) -> str:
        self.parts[origin] += 1
        return f"{origin}[{self.parts[origin] - 1}]"

    def items(self) -> list[Item]:
        """Returns all items; labels without an image and images in no list are among them."""
        expected = {item.labels for item in self.found.values()}
        labels = self._beside(expected, lambda name: suffix(name) == ".txt")
        lone = [path for path in labels if path not in expected and path not in self.lists]
        images = [path for path in self._beside(self.found, is_image) if path not in self.found]
        # Their label files are spoken of with them.
        covered = {_label_path(path) for path in images}
        self.wrong += [Item(p, "", "missing_image", "no image of its name") for p in lone if p not in covered]
        self.wrong += [Item(path, "", "missing_annotation", "in no split") for path in images]
        owners = collections.Counter(item.labels for item in self.found.values())
        for item in self.found.values():
            if not self.listing.has(item.labels):
                item.labels = ""
            elif owners[item.labels] > 1:  # names that differ in their suffix only
                told = f"{printable(item.labels)} is of another image too"
                item.faults += (Fault("duplicate_file", told, "labels"),)
        return [*self.found.values(), *self.wrong]

    def _beside(self, paths: typing.Iterable[str], wanted: typing.Callable[[str], bool]) -> list[str]:
        folders = sorted({os.path.dirname(path) for path in paths})
        names = [(folder, name) for folder in folders for name in sorted(self.listing.files(folder))]
        kept = [pair for pair in names if wanted(pair[1]) and pair[1].lower() not in _NO_LABELS]
        return [os.path.join(*pair) for pair in kept if not pair[1].startswith(".")]


def _label_path(image: str) -> str:
    """Returns where the labels of an image are: its path, with the last "images" as "labels"."""
    parts = os.path.splitext(image)[0].split("/")
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return "/".join(parts) + ".txt"


def text_lines(path: str, limit: int) -> list[str]:
    """Returns the lines of a text file.

    Raises:
        OSError: It cannot be read, or holds more than `limit` bytes.
    """
    return os.fsdecode(read_limited(path, limit)).splitlines()
