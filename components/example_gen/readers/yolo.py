"""YOLO: a text file of relative boxes or polygons for each image, and a `data.yaml` of class names.

Source: Ultralytics, "Object detection datasets overview" and "Instance segmentation datasets overview",
https://docs.ultralytics.com/datasets/: lines `class x_centre y_centre width height` or `class x y x y x y …`,
in shares of the image's width and height as it is shown; an image without a text file shows no object.
"""

import functools
import math
import os
import pathlib
import typing
from collections.abc import Iterator, Sequence

import yaml

from conveyor.components.example_gen.readers.files import (
    Listing,
    locate,
    read_image,
    read_limited,
    rejected,
    shuffled,
)
from conveyor.components.example_gen.readers.names import (
    SPLIT_ORDER,
    SPLITS,
    UnsafePathError,
    is_image,
    printable,
    safe_path,
    shown,
    suffix,
)
from conveyor.components.example_gen.readers.raw import Fault, RawExample, RawObject
from conveyor.components.example_gen.readers.sizes import header_sizes
from conveyor.components.example_gen.readers.store import each, is_remote
from conveyor.components.example_gen.readers.yolo_search import Item, Search, text_lines
from conveyor.pipeline.errors import UserError

USAGE = "yolo:DIR with a data.yaml or classes.txt, or yolo:FILE.yaml"
MAX_YAML = 1 << 20  # bytes; a parser in Python takes ten seconds for that
MAX_LABELS = 16 << 20  # bytes; the annotations of one image
MAX_FAULTS = 1000  # told of one image; a file of another kind has a fault in every line
_YAMLS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_CLASSES = ("classes.txt", "labels/classes.txt", "obj.names")


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
        path, is_folder = locate(argument, USAGE)
        self._home = Listing(path if is_folder else os.path.dirname(path))  # where the YAML file is
        self._yaml = next(filter(self._home.has, _YAMLS), "") if is_folder else os.path.basename(path)
        self._may_leave = not is_folder
        if not is_remote(path):
            self._check()

    def _check(self) -> None:
        _ = self._names
        if not any(is_image(item.key) and item.reason != "missing_image" for item in self._items):
            raise UserError(
                "data.source: there are no images",
                expected="images/<split>/<image> beside labels/<split>/<name>.txt, or as the YAML says",
                received=f"{len(self._items)} other entries" if self._items else "nothing",
                where=self._where,
            )

    @property
    def _where(self) -> str:
        return printable(os.path.join(self._home.root, self._yaml))

    @functools.cached_property
    def _settings(self) -> dict[typing.Any, typing.Any]:
        """What the YAML file says; nothing where there is none."""
        if not self._yaml:
            return {}
        try:
            settings = yaml.safe_load(read_limited(os.path.join(self._home.root, self._yaml), MAX_YAML))
            received = f"{type(settings).__name__} at its top"
        except UserError:
            raise
        except Exception as error:  # dates, numbers and nesting can fail in many ways
            settings, received = None, shown(f"{type(error).__name__}: {error}", 200)
        if isinstance(settings, dict):
            return settings
        raise UserError(
            "data.source: the YAML file cannot be used",
            expected="YAML with names, train, val and test",
            received=received,
            where=self._where,
        )

    @functools.cached_property
    def folder(self) -> str:
        """Where paths start: at `path` of the YAML, if that is there; else it is of another machine."""
        home, path = self._home.root, self._settings.get("path")
        if not isinstance(path, str) or "\0" in path:
            return home
        if is_remote(home):  # what is not below the home is not known to the fingerprint
            try:
                inside = safe_path(path)
            except UnsafePathError:
                return home
            return (
                os.path.join(home, inside) if self._home.files(inside) or self._home.folders(inside) else home
            )
        there = os.path.join(home, path)
        is_inside = os.path.realpath(there).startswith(os.path.realpath(home) + os.sep)
        return os.path.abspath(there) if (is_inside or self._may_leave) and os.path.isdir(there) else home

    @functools.cached_property
    def _listing(self) -> Listing:
        return self._home if self.folder == self._home.root else Listing(self.folder)

    @functools.cached_property
    def _names(self) -> dict[int, str]:
        """Class id -> name."""
        names, count = self._settings.get("names"), self._settings.get("nc")
        if names is None and type(count) is int and 0 < count <= 100_000:
            names = [f"class_{index}" for index in range(count)]
        if names is None:
            names = self._listed_names()
        pairs = list(enumerate(names) if isinstance(names, list) else _entries(names))
        if not pairs or not all(type(key) is int and _is_name(name) for key, name in pairs):
            expected = "names: a list of names, or a mapping of 0, 1, 2 … to names"
            raise UserError(
                "data.source: the classes have no names", expected=expected, where=self._where, fix=USAGE
            )
        if count is not None and count != len(pairs):
            received = f"nc: {shown(count)}, but {len(pairs)} names"
            fix = "correct one of them, or remove nc"
            raise UserError(
                "data.source: nc and names disagree", received=received, where=self._where, fix=fix
            )
        return {key: printable(str(name).strip()) for key, name in sorted(pairs)}

    @property
    def _names_file(self) -> str:
        return next(filter(self._home.has, _CLASSES), "")

    def _listed_names(self) -> list[str]:
        if not self._names_file:
            return []
        try:
            lines = text_lines(os.path.join(self._home.root, self._names_file), MAX_LABELS)
        except OSError as error:
            received = f"{self._names_file}: {error.strerror}"
            raise UserError("data.source: the classes cannot be read", received=received) from error
        return [line.strip() for line in lines if line.strip()]

    @functools.cached_property
    def _search(self) -> Search:
        settings = self._settings
        named = [(str(key), SPLITS[key]) for key in settings if isinstance(key, str) and key in SPLITS]
        sources = [(f"{self._yaml}: {key}", split, settings[key]) for key, split in named if settings[key]]
        sources = sources or self._layout()
        sources.sort(key=lambda source: SPLIT_ORDER.index(source[1]))
        search = Search(self._listing)
        for origin, split, value in sources:
            parts = value if isinstance(value, list) else [value]
            seen = dict.fromkeys(part for part in parts if isinstance(part, str))
            for part in [*seen, *(part for part in parts if not isinstance(part, str))]:
                search.add(origin, split, part)
        return search

    @functools.cached_property
    def _items(self) -> list[Item]:
        return self._search.items()

    def _layout(self) -> list[tuple[str, str, str]]:
        """Returns what to search where no file says it: images/<split>, <split>/images, lists, or images."""
        inner = [f"images/{folder}" for folder in self._listing.folders("images")]
        found = [(path, SPLITS.get(path[7:].lower(), ""), path) for path in inner]
        if any(split for _, split, _ in found):
            return found
        tops = [folder for folder in self._listing.folders() if folder.lower() in SPLITS]
        inner = [f"{top}/images" if "images" in self._listing.folders(top) else top for top in tops]
        found = [(path, SPLITS[top.lower()], path) for top, path in zip(tops, inner, strict=True)]
        lists = [name for name in sorted(self._listing.files()) if suffix(name) == ".txt"]
        found = found or [(name, SPLITS[name[:-4]], name) for name in lists if name[:-4] in SPLITS]
        return found or [("images", "", "images" if "images" in self._listing.folders() else ".")]

    def classes(self) -> list[str]:
        return list(dict.fromkeys(self._names.values()))

    def splits(self) -> set[str]:
        return {item.split for item in self._items if item.split and not item.reason}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        if is_remote(self._home.root):  # lists are read once, and not for this
            return self._home.fingerprint(self._home.walk(), workspace)
        paths = {path for item in self._items for path in (item.key, item.labels) if self._listing.has(path)}
        inner = [os.path.join(self.folder, path) for path in paths | set(self._search.lists)]
        from_home = [os.path.relpath(path, self._home.root) for path in inner]
        texts = [name for name in (self._yaml, self._names_file) if name]
        return self._home.fingerprint([*texts, *from_home], workspace)

    def chunks(self) -> list[Sequence[Item]]:
        self._check()
        return shuffled(self._items, lambda item: item.key)

    def read(self, chunk: Sequence[Item]) -> Iterator[RawExample]:
        yield from each(self._read, chunk, self.folder)

    def _read(self, item: Item) -> RawExample:
        if item.reason:
            return rejected(item.key, item.reason, item.error, item.split)
        data, reason, error = read_image(self.folder, item.key)
        if data is None:
            return rejected(item.key, reason, error, item.split)
        faults, objects = item.faults, tuple[RawObject, ...]()
        if item.labels:
            try:
                lines = text_lines(os.path.join(self.folder, item.labels), MAX_LABELS)
            except OSError as problem:
                error = f"{shown(item.labels)}: {problem.strerror}"
                return rejected(item.key, "malformed", error, item.split)
            objects, wrong = _objects(lines, self._names, data)
            if wrong and not objects and all(fault.reason == "malformed" for fault in wrong):
                error = f"{shown(item.labels)}: no line can be used; {wrong[0].field}: {wrong[0].detail}"
                return rejected(item.key, "malformed", error, item.split)
            faults += wrong
        return RawExample(printable(item.key), "", item.split, data, objects=objects, faults=faults)

    def __getstate__(self) -> dict[str, typing.Any]:
        return {"folder": self.folder, "_names": self._names}  # workers get chunks, they need no listing


def _entries(names: typing.Any) -> list[tuple[typing.Any, typing.Any]]:
    """Returns id and name of a mapping, whose ids may be texts."""
    pairs = names.items() if isinstance(names, dict) else ()
    return [
        (int(k) if isinstance(k, str) and k.isdecimal() and len(k) < 10 else k, name) for k, name in pairs
    ]


def _is_name(name: typing.Any) -> bool:
    return bool(name.strip()) if isinstance(name, str) else type(name) in (int, float) and abs(name) < 10**18


def _objects(
    lines: list[str], names: dict[int, str], data: bytes
) -> tuple[tuple[RawObject, ...], tuple[Fault, ...]]:
    """Returns the objects that lines describe, and what is wrong with the others."""
    if not any(line.strip() for line in lines):
        return (), ()
    sizes = header_sizes(data)
    if sizes is None:
        told = f"the image's size is unknown, so its {len(lines)} lines cannot be used"
        return (), (Fault("unreadable", told, "labels"),)
    parsed = [
        _object(line.split(), names, sizes[1], f"line {n}") for n, line in enumerate(lines, 1) if line.strip()
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
        return RawObject(label, box, field=field)
    xs, ys = [x * width for x in shares[::2]], [y * height for y in shares[1::2]]
    polygon = [side for point in zip(xs, ys, strict=True) for side in point]
    return RawObject(label, (min(xs), min(ys), max(xs), max(ys)), segmentation=[polygon], field=field)
