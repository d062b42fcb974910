"""YOLO: a text file of relative boxes or polygons for each image, and a `data.yaml` of class names.

Source: Ultralytics, "Object detection datasets overview" and "Instance segmentation datasets overview",
https://docs.ultralytics.com/datasets/: lines `class x_centre y_centre width height` or `class x y x y x y …`,
in shares of the image's width and height as it is shown; an image without a text file shows no object.
"""

import collections
import dataclasses
import functools
import io
import math
import os
import pathlib
import typing
from collections.abc import Iterator, Sequence

import yaml

from conveyor.components.example_gen.readers.files import (
    SPLIT_ORDER,
    Listing,
    UnsafePathError,
    absolute,
    is_image,
    printable,
    read_image,
    read_limited,
    rejected,
    safe_path,
    shown,
    shuffled,
    suffix,
)
from conveyor.components.example_gen.readers.folder import SPLITS
from conveyor.components.example_gen.readers.raw import Fault, RawExample, RawObject
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.fingerprint import fingerprint_files

USAGE = "yolo:DIR with a data.yaml or classes.txt, or yolo:FILE.yaml"
MAX_YAML = 4 << 20  # bytes
MAX_LABELS = 16 << 20  # bytes; the annotations of one image
MAX_LIST = 1 << 30  # bytes; a list of images
MAX_FAULTS = 1000  # told of one image; a file of another kind has a fault in every line
_YAMLS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_CLASSES = ("classes.txt", "labels/classes.txt", "obj.names")
_NO_LABELS = frozenset(("classes.txt", "notes.txt", "readme.txt", "requirements.txt"))


@dataclasses.dataclass
class _Item:
    """One example to be read, or what stands for something that cannot be."""

    key: str
    split: str = ""
    reason: str = ""
    error: str = ""
    labels: str = ""
    faults: tuple[Fault, ...] = ()


class YOLOReader:
    """Reads YOLO data.

    An image of several splits is taken for the first of test, validation and train, and carries a fault.

    Args:
        argument: The directory, or its YAML file.

    Raises:
        UserError: It is missing, has no images, does not name its classes, or its YAML cannot be read.
    """

    annotations = frozenset({"objects"})

    def __init__(self, argument: str):
        path = absolute(argument, USAGE)
        self.folder = path if os.path.isdir(path) else os.path.dirname(path)
        self._texts: list[str] = []  # files that are read beside images and labels, for the fingerprint
        found = next((name for name in _YAMLS if self._listing.has(name)), None)
        self._yaml = os.path.basename(path) if not os.path.isdir(path) else found
        settings = self._settings()
        self._names = self._class_names(settings)
        if self._yaml:
            self._move(settings.get("path"), anywhere=not os.path.isdir(path))
        self._items = self._find(settings)
        if not any(is_image(item.key) and item.reason != "missing_image" for item in self._items):
            raise UserError(
                "data.source: there are no images",
                expected="images/<split>/<image> beside labels/<split>/<name>.txt, or as the YAML says",
                received=f"{len(self._items)} other entries" if self._items else "nothing",
                where=printable(os.path.join(self.folder, self._yaml or "")),
            )

    @functools.cached_property
    def _listing(self) -> Listing:
        return Listing(self.folder)

    def _settings(self) -> dict[typing.Any, typing.Any]:
        """Returns what the YAML file says; nothing where there is none."""
        if self._yaml is None:
            return {}
        received = ""
        try:
            settings = yaml.safe_load(read_limited(os.path.join(self.folder, self._yaml), MAX_YAML))
            received = f"{type(settings).__name__} at its top"
        except Exception as error:  # dates, numbers and nesting can fail in many ways
            settings, received = None, shown(f"{type(error).__name__}: {error}", 200)
        if isinstance(settings, dict):
            self._texts.append(os.path.join(self.folder, self._yaml))
            return settings
        where = printable(os.path.join(self.folder, self._yaml))
        expected = "YAML with names, train, val and test"
        raise UserError(
            "data.source: the YAML file cannot be used", expected=expected, received=received, where=where
        )

    def _class_names(self, settings: dict[typing.Any, typing.Any]) -> dict[int, str]:
        """Returns class id -> name."""
        names, count = settings.get("names"), settings.get("nc")
        if names is None and type(count) is int and 0 < count <= 100_000:
            names = [f"class_{index}" for index in range(count)]
        if names is None:
            names = self._class_list()
        pairs = list(
            enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
        )
        where = printable(os.path.join(self.folder, self._yaml or ""))
        if not pairs or not all(type(key) is int and _is_name(name) for key, name in pairs):
            expected = "names: a list of names, or a mapping of 0, 1, 2 … to names"
            raise UserError(
                "data.source: the classes have no names", expected=expected, where=where, fix=USAGE
            )
        if count is not None and count != len(pairs):
            received = f"nc: {shown(count)}, but {len(pairs)} names"
            fix = "correct one of them, or remove nc"
            raise UserError("data.source: nc and names disagree", received=received, where=where, fix=fix)
        return {key: printable(str(name).strip()) for key, name in sorted(pairs)}

    def _class_list(self) -> list[str] | None:
        for name in filter(self._listing.has, _CLASSES):
            self._texts.append(os.path.join(self.folder, name))
            try:
                lines = _lines(os.path.join(self.folder, name))
            except OSError as error:
                received = f"{name}: {error.strerror}"
                raise UserError("data.source: the classes cannot be read", received=received) from error
            return [line.strip() for line in lines if line.strip()]
        return None

    def _move(self, path: typing.Any, anywhere: bool) -> None:
        """Goes where `path` says, if it is there; else it is of the machine the data came from."""
        there = os.path.join(self.folder, path) if isinstance(path, str) and "\0" not in path else ""
        inside = os.path.realpath(there).startswith(os.path.realpath(self.folder) + os.sep)
        if there and (inside or anywhere) and os.path.isdir(there):
            self.folder = os.path.abspath(there)
            del self._listing

    def _find(self, settings: dict[typing.Any, typing.Any]) -> list[_Item]:
        named = [(str(key), SPLITS[key]) for key in settings if isinstance(key, str) and key in SPLITS]
        sources = [(f"{self._yaml}: {key}", split, settings[key]) for key, split in named if settings[key]]
        sources = sources or self._layout()
        sources.sort(key=lambda source: SPLIT_ORDER.index(source[1]))
        search = _Search(self._listing)
        for origin, split, value in sources:
            parts = value if isinstance(value, list) else [value]
            seen = dict.fromkeys(part for part in parts if isinstance(part, str))
            for part in [*seen, *(part for part in parts if not isinstance(part, str))]:
                search.add(origin, split, part)
        self._texts += [os.path.join(self.folder, path) for path in search.lists]
        return search.items()

    def _layout(self) -> list[tuple[str, str, str]]:
        """Returns what to search where no file says it: images/<split>, <split>/images or images."""
        inner = [f"images/{folder}" for folder in self._listing.folders("images")]
        found = [(path, SPLITS.get(path[7:].lower(), ""), path) for path in inner]
        if any(split for _, split, _ in found):
            return found
        tops = [folder for folder in self._listing.folders() if folder.lower() in SPLITS]
        inner = [f"{top}/images" if "images" in self._listing.folders(top) else top for top in tops]
        found = [(path, SPLITS[top.lower()], path) for top, path in zip(tops, inner, strict=True)]
        return found or [("images", "", "images" if "images" in self._listing.folders() else ".")]

    def classes(self) -> list[str]:
        return list(dict.fromkeys(self._names.values()))

    def splits(self) -> set[str]:
        return {item.split for item in self._items if item.split and not item.reason}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        paths = {path for item in self._items for path in (item.key, item.labels) if path}
        files = sorted(path for path in paths if self._listing.has(path))
        texts = [os.path.relpath(path, self.folder) for path in self._texts]
        return fingerprint_files(self.folder, [*texts, *files], workspace)

    def chunks(self) -> list[Sequence[_Item]]:
        return shuffled(self._items, lambda item: item.key)

    def read(self, chunk: Sequence[_Item]) -> Iterator[RawExample]:
        for item in chunk:
            yield rejected(item.key, item.reason, item.error, item.split) if item.reason else self._read(item)

    def _read(self, item: _Item) -> RawExample:
        data, error = read_image(self.folder, item.key)
        if data is None:
            return rejected(item.key, "unreadable", error, item.split)
        faults, objects = item.faults, tuple[RawObject, ...]()
        if item.labels:
            try:
                lines = _lines(os.path.join(self.folder, item.labels))
            except OSError as problem:
                return rejected(
                    item.key, "malformed", f"{shown(item.labels)}: {problem.strerror}", item.split
                )
            objects, wrong = _objects(lines, self._names, data)
            if wrong and not objects and all(fault.reason == "malformed" for fault in wrong):
                error = f"{shown(item.labels)}: no line can be used; {wrong[0].field}: {wrong[0].detail}"
                return rejected(item.key, "malformed", error, item.split)
            faults += wrong
        return RawExample(printable(item.key), "", item.split, data, objects=objects, faults=faults)

    def __getstate__(self) -> dict[str, typing.Any]:
        return {"folder": self.folder, "_names": self._names}  # workers get chunks, they need no listing


class _Search:
    """Gathers the images of folders and lists, and what is wrong with them."""

    def __init__(self, listing: Listing):
        self.listing = listing
        self.found: dict[str, _Item] = {}
        self.wrong: list[_Item] = []
        self.lists: list[str] = []
        self.parts: collections.Counter[str] = collections.Counter()

    def add(self, origin: str, split: str, part: typing.Any) -> None:
        """Adds the images of a folder, or of a text file that lists them."""
        try:
            path = self._locate(part)
        except UnsafePathError as error:
            self.wrong.append(_Item(self._key(origin), split, "unsafe_path", str(error)))
            return
        if path and suffix(path) == ".txt" and self.listing.has(path):
            self._add_list(path, split)
            return
        images = [name for name in self.listing.walk(path) if is_image(name)] if path is not None else []
        for name in images:
            self._add_image(name, split, origin)
        if not images:
            told = f"no images at {shown(part)}"
            self.wrong.append(_Item(self._key(origin), split, "missing_image", told))

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
            lines = _lines(os.path.join(self.listing.root, path), MAX_LIST)
        except OSError as error:
            self.wrong.append(_Item(self._key(path), split, "malformed", str(error.strerror)))
            return
        for number, line in enumerate(lines, 1):
            origin = f"{path}: line {number}"
            try:
                name = safe_path(self._inside(line.strip())) if line.strip() else ""
            except UnsafePathError as error:
                self.wrong.append(_Item(origin, split, "unsafe_path", str(error)))
                continue
            beside = os.path.join(os.path.dirname(path), name)
            there = next((option for option in (name, beside) if self.listing.has(option)), "")
            if there:
                self._add_image(there, split, origin)
            elif name:
                self.wrong.append(_Item(origin, split, "missing_image", f"there is no {shown(name)}"))

    def _add_image(self, path: str, split: str, origin: str) -> None:
        first = self.found.setdefault(path, _Item(path, split))
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

    def items(self) -> list[_Item]:
        """Returns all items; labels without an image and images in no list are among them."""
        expected = {item.labels for item in self.found.values()}
        labels = self._beside(expected, lambda name: suffix(name) == ".txt")
        lone = [path for path in labels if path not in expected and path not in self.lists]
        images = [path for path in self._beside(self.found, is_image) if path not in self.found]
        # Their label files are spoken of with them.
        covered = {_label_path(path) for path in images}
        self.wrong += [
            _Item(p, "", "missing_image", "no image of its name") for p in lone if p not in covered
        ]
        self.wrong += [_Item(path, "", "missing_annotation", "in no split") for path in images]
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


def _is_name(name: typing.Any) -> bool:
    return bool(name.strip()) if isinstance(name, str) else type(name) in (int, float) and abs(name) < 10**18


def _lines(path: str, limit: int = MAX_LABELS) -> list[str]:
    return os.fsdecode(read_limited(path, limit)).splitlines()


def _objects(
    lines: list[str], names: dict[int, str], data: bytes
) -> tuple[tuple[RawObject, ...], tuple[Fault, ...]]:
    """Returns the objects that lines describe, and what is wrong with the others."""
    if not any(line.strip() for line in lines):
        return (), ()
    size = _shown_size(data)
    if size is None:
        told = f"the image's size is unknown, so its {len(lines)} lines cannot be used"
        return (), (Fault("unreadable", told, "labels"),)
    parsed = [
        _object(line.split(), names, size, f"line {n}") for n, line in enumerate(lines, 1) if line.strip()
    ]
    objects = tuple(part for part in parsed if isinstance(part, RawObject))
    faults = tuple(part for part in parsed if isinstance(part, Fault))
    if len(faults) > MAX_FAULTS:
        rest = Fault("malformed", f"{len(faults) - MAX_FAULTS} more lines have faults", "labels")
        faults = (*faults[:MAX_FAULTS], rest)
    return objects, faults


def _object(words: list[str], names: dict[int, str], size: tuple[int, int], field: str) -> RawObject | Fault:
    try:
        number, *shares = map(float, words)
    except ValueError:
        return Fault("malformed", f"not only numbers: {shown(' '.join(words))}", field)
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        return Fault("malformed", f"{len(words)} numbers; expected 5, or a class and 3 points or more", field)
    if not number.is_integer() or int(number) not in names:
        return Fault("unknown_class", f"class {shown(words[0])}", field)
    if not all(map(math.isfinite, shares)):
        return Fault("box_degenerate", "numbers that are none", field)
    label, (width, height) = names[int(number)], size
    if len(shares) == 4:
        x, y, w, h = shares
        box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        return RawObject(label, box)
    xs, ys = [x * width for x in shares[::2]], [y * height for y in shares[1::2]]
    polygon = [side for point in zip(xs, ys, strict=True) for side in point]
    return RawObject(label, (min(xs), min(ys), max(xs), max(ys)), segmentation=[polygon])


def _shown_size(data: bytes) -> tuple[int, int] | None:
    """Returns width and height of an image as it is shown, from its header; None where that is broken."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
    except Exception:  # decoders raise of many kinds on hostile bytes
        return None
    return (height, width) if turned else (width, height)
