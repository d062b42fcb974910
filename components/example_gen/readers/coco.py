"""COCO: a JSON file that lists images, annotations and categories, beside folders of images.

Source: T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its data format,
https://cocodataset.org/#format-data: a box is x, y, width, height in
pixels, from the top left corner of the image.
"""

import collections
import dataclasses
import functools
import os
import pathlib
import typing
from collections.abc import Iterator, Sequence

from absl import logging

from conveyor.components.example_gen.readers.files import Listing, locate, read_image, rejected, shuffled
from conveyor.components.example_gen.readers.names import (
    SPLIT_ORDER,
    SPLITS,
    UnsafePathError,
    is_image,
    printable,
    safe_path,
    shown,
    split_of,
    suffix,
)
from conveyor.components.example_gen.readers.outlines import outline
from conveyor.components.example_gen.readers.raw import Fault, RawExample, RawObject
from conveyor.components.example_gen.readers.store import each, is_remote
from conveyor.components.example_gen.readers.values import identifier, image_size, number, read_json
from conveyor.pipeline.errors import UserError

USAGE = "coco:DIR or coco:FILE.json, with images in DIR/<split>, DIR/images or beside the JSON file"
MAX_JSON = 2 << 30  # bytes
_IMAGE_DIRS = ("images", "data")
_KEPT = ("category_id", "bbox", "segmentation", "iscrowd")
_LISTS = ("images", "annotations", "categories")


@dataclasses.dataclass
class _Item:
    """One example to be read, or what stands for something that cannot be.

    Args:
        document: Index of its JSON file.
        size: Width and height that the JSON file says.
        annotations: Position in the JSON file and content of each of its annotations, unchecked.
    """

    key: str
    split: str = ""
    reason: str = ""
    error: str = ""
    document: int = 0
    size: tuple[int, int] | None = None
    annotations: list[tuple[int, dict[str, typing.Any]]] = dataclasses.field(default_factory=list)
    faults: list[Fault] = dataclasses.field(default_factory=list)


class COCOReader:
    """Reads COCO data.

    An image that several JSON files list is taken for the first of test, validation and train that
    does; the other listing is reported. Two listings in one file are one image with the objects of both.

    Args:
        argument: The directory, or the JSON file.

    Raises:
        UserError: It is missing, or there is no JSON file of this format, or one that cannot be parsed.
    """

    annotations = frozenset({"objects"})

    def __init__(self, argument: str):
        path, is_folder = locate(argument, USAGE)
        self.folder, self._file = path, ""
        if not is_folder:
            parent = os.path.dirname(path)
            inside = os.path.basename(parent).lower() == "annotations"
            self.folder = os.path.dirname(parent) if inside else parent
            self._file = os.path.relpath(path, self.folder)
        if not is_remote(path):
            _ = self._documents

    @functools.cached_property
    def _listing(self) -> Listing:
        return Listing(self.folder)

    @functools.cached_property
    def _documents(self) -> list["_Document"]:
        """The JSON files of this format, those of test data first."""
        paths = [self._file] if self._file else _json_files(self._listing)
        contents = {path: read_json(os.path.join(self.folder, path), MAX_JSON) for path in paths}
        usable = [path for path in paths if _is_coco(contents[path])]
        if other := ", ".join(printable(path) for path in paths if path not in usable):
            logging.info("JSON files in %s that are not COCO data: %s", self.folder, other)
        if not usable:
            raise UserError(
                "data.source: there is no COCO data here",
                expected='JSON with "images", "annotations" and "categories", the first and last not empty',
                received=other or "no JSON file",
                where=printable(self.folder),
                fix=USAGE,
            )
        usable.sort(key=lambda path: SPLIT_ORDER.index(_split(path)))
        return [_Document(index, path, contents[path], self._listing) for index, path in enumerate(usable)]

    @functools.cached_property
    def _names(self) -> list[dict[typing.Any, str]]:
        """Class id -> name, for each JSON file."""
        return [document.names for document in self._documents]

    @functools.cached_property
    def _items(self) -> list[_Item]:
        taken: dict[str, _Item] = {}
        items = [item for document in self._documents for item in document.items(taken)]
        return items + _unlisted(self._listing, taken)

    def classes(self) -> list[str]:
        found = {(category, name) for names in self._names for category, name in names.items()}
        # Numbers by size; what is no number after them.
        ordered = sorted(
            found, key=lambda c: (isinstance(c[0], str), 0 if isinstance(c[0], str) else c[0], c)
        )
        return list(dict.fromkeys(name for _, name in ordered))

    def splits(self) -> set[str]:
        return {item.split for item in self._items if item.split and not item.reason}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        if is_remote(self.folder):  # annotations are read once, and not for this
            return self._listing.fingerprint(self._listing.walk(), workspace)
        images = [item.key for item in self._items if self._listing.has(item.key)]
        paths = [document.path for document in self._documents]
        return self._listing.fingerprint([*paths, *images], workspace)

    def chunks(self) -> list[Sequence[_Item]]:
        return shuffled(self._items, lambda item: item.key)

    def read(self, chunk: Sequence[_Item]) -> Iterator[RawExample]:
        yield from each(self._read, chunk, self.folder)

    def _read(self, item: _Item) -> RawExample:
        if item.reason:
            return rejected(item.key, item.reason, item.error, item.split)
        data, reason, error = read_image(self.folder, item.key)
        objects, faults = [], list(item.faults)
        for index, annotation in item.annotations:
            found, wrong = _object(annotation, self._names[item.document], f"annotations[{index}]")
            objects += [found] if found else []
            faults += wrong
        example = RawExample(printable(item.key), "", item.split, data, error, reason, size=item.size)
        return dataclasses.replace(example, objects=tuple(objects), faults=tuple(faults))

    def __getstate__(self) -> dict[str, typing.Any]:
        return {"folder": self.folder, "_names": self._names}  # workers get chunks with the rest


class _Document:
    """One JSON file, on its way to items."""

    def __init__(self, index: int, path: str, content: dict, listing: Listing):
        self.index, self.path, self.content, self.listing = index, path, content, listing
        self.names = _categories(content["categories"])
        self.split = _split(path)
        self.taken: dict[str, _Item] = {}
        self.by_id: dict[typing.Any, _Item] = {}

    def items(self, taken: dict[str, _Item]) -> list[_Item]:
        """Returns an item for every image, and one for each thing that cannot be used.

        Args:
            taken: Path -> item of every image that an earlier file lists; added to.
        """
        self.taken = taken
        entries = [_Entry(entry) for entry in self.content["images"]]
        names: dict[typing.Any, set[str]] = collections.defaultdict(set)
        for entry in entries:
            names[entry.number].add(entry.name)
        folder = self._image_folder([entry.name for entry in entries if not entry.reason])
        found = [self._image(i, entry, folder, names[entry.number]) for i, entry in enumerate(entries)]
        found += self._annotations()
        self.content = {}  # may be as large as memory allows once, not twice
        return found

    def _image_folder(self, names: list[str]) -> str:
        """Returns the folder in which most images are."""
        tail = pathlib.PurePosixPath(self.path).stem.rpartition("_")[2]
        options = [prefix + tail for prefix in ("", *(f"{name}/" for name in _IMAGE_DIRS))]
        for parent in ("", *_IMAGE_DIRS):
            same = [name for name in self.listing.folders(parent) if SPLITS.get(name.lower()) == self.split]
            options += [os.path.join(parent, name) for name in same]
        options += [*_IMAGE_DIRS, os.path.dirname(self.path), ""]
        options = list(dict.fromkeys(options))
        there = [option for option in options if self.listing.files(option) or self.listing.folders(option)]
        return max(there, key=lambda option: sum(self.listing.has(os.path.join(option, n)) for n in names))

    def _image(self, index: int, entry: "_Entry", folder: str, names: set[str]) -> _Item:
        path = os.path.join(folder, entry.name)
        key = f"{self.path}: images[{index}]"
        item = _Item(key, self.split, entry.reason, entry.error, self.index, entry.size)
        if entry.reason:
            pass
        elif len(names) > 1:
            # Whose the annotations are cannot be told, so none of these images has any that can be trusted.
            self.taken.setdefault(path, item)
            item.reason = "duplicate_file"
            item.error = (
                f"{shown(entry.name)} shares its id {shown(entry.number)} with {len(names) - 1} other(s)"
            )
        elif first := self.taken.get(path):
            self._again(item, path, first, entry)
            return item
        else:
            item.key = path
            self.taken[path] = item
            if not self.listing.has(path):
                item.reason, item.error = "missing_image", f"images[{index}] of {self.path}: no such file"
        if entry.number is not None:
            self.by_id.setdefault(entry.number, item)
        return item

    def _again(self, item: _Item, path: str, first: _Item, entry: "_Entry") -> None:
        item.reason = "duplicate_file"
        if first.document == self.index:
            item.error = f"{shown(path)} is listed before; the objects of both listings are taken together"
            first.faults.append(Fault("duplicate_file", f"listed again: {item.key.rpartition(': ')[2]}"))
            self.by_id.setdefault(entry.number, first)
        else:
            item.error = f"{shown(path)} is listed in another file too, whose objects are taken"
            first.faults.append(Fault("duplicate_file", f"listed in {printable(self.path)} too", "split"))
            self.by_id.setdefault(entry.number, item)

    def _annotations(self) -> list[_Item]:
        """Hands annotations to their images; returns what stands for those that have none."""
        items: list[_Item] = []
        dangling: collections.Counter[typing.Any] = collections.Counter()
        for index, annotation in enumerate(self.content["annotations"]):
            image_id = identifier(annotation.get("image_id")) if isinstance(annotation, dict) else None
            if image_id is None:
                key, error = f"{self.path}: annotations[{index}]", "no object with a usable image_id"
                items.append(_Item(key, self.split, "malformed", error, self.index))
            elif image_id in self.by_id:
                self.by_id[image_id].annotations.append((index, _trim(annotation)))
            else:
                dangling[image_id] += 1
        for image_id, count in dangling.items():
            key, error = (
                f"{self.path}: image_id {image_id!r}",
                f"{count} annotation(s) of an image not listed",
            )
            items.append(_Item(key, self.split, "missing_image", error, self.index))
        return items


class _Entry:
    """An entry of "images": its id and plain relative name, or what is wrong with it."""

    def __init__(self, entry: typing.Any):
        self.number, self.name, self.reason, self.error = None, "", "malformed", "not an object"
        self.size: tuple[int, int] | None = None
        if not isinstance(entry, dict):
            return
        self.number = identifier(entry.get("id"))
        self.size = image_size(entry.get("width"), entry.get("height"))
        name = entry.get("file_name")
        if not isinstance(name, str) or not name.strip():
            self.error = f"file_name is {shown(name)}"
        elif self.number is None:
            self.error = f"{shown(name)}: id is {shown(entry.get('id'))}"
        else:
            try:
                self.name, self.reason, self.error = safe_path(name), "", ""
            except UnsafePathError as error:
                self.reason, self.error = "unsafe_path", str(error)


def _json_files(listing: Listing) -> list[str]:
    """Returns the JSON files of a folder that may be of this format."""
    inner = [folder for folder in listing.folders() if folder.lower() == "annotations"]
    parts = [folder for folder in listing.folders() if folder.lower() in SPLITS]
    for folders in (inner, [""], parts):
        paths = [os.path.join(folder, name) for folder in folders for name in listing.files(folder)]
        if found := sorted(path for path in paths if suffix(path) == ".json"):
            # Beside those of the objects, COCO has files of captions, keypoints and so on.
            return [path for path in found if os.path.basename(path).startswith("instances_")] or found
    return []


def _split(path: str) -> str:
    """Returns the split of a JSON file: by its name, or that of its folder."""
    pure = pathlib.PurePosixPath(path)
    return split_of(pure.stem) or SPLITS.get(pure.parent.name.lower(), "")


def _is_coco(content: typing.Any) -> bool:
    lists = isinstance(content, dict) and all(isinstance(content.get(name), list) for name in _LISTS)
    return lists and bool(content["images"]) and bool(_categories(content["categories"]))


def _categories(entries: list[typing.Any]) -> dict[typing.Any, str]:
    """Returns id -> name. An id of two names is none: which is meant cannot be told."""
    found: dict[typing.Any, str] = {}
    unclear = set()
    for entry in entries:
        category = identifier(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        if category is None or not isinstance(name, str) or not name.strip():
            continue
        if found.setdefault(category, printable(name.strip())) != printable(name.strip()):
            unclear.add(category)
    return {category: name for category, name in found.items() if category not in unclear}


def _unlisted(listing: Listing, taken: dict[str, _Item]) -> list[_Item]:
    """Returns what stands for images that lie beside listed ones and are listed nowhere."""
    folders = sorted({os.path.dirname(path) for path in taken} or _IMAGE_DIRS)
    paths = [os.path.join(folder, name) for folder in folders for name in sorted(listing.files(folder))]
    images = [path for path in paths if is_image(path) and path not in taken]
    return [_Item(path, "", "missing_annotation", "listed nowhere") for path in images]


def _trim(annotation: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Keeps what is needed of an annotation; what is nested too deeply could not be sent to workers."""
    return {
        key: annotation[key] if _is_shallow(annotation[key]) else "nested"
        for key in _KEPT
        if key in annotation
    }


def _is_shallow(value: typing.Any, depth: int = 2) -> bool:
    if not isinstance(value, (list, dict)):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(part, depth - 1) for part in parts if type(part) in (list, dict))


def _object(
    annotation: dict[str, typing.Any], names: dict[typing.Any, str], field: str
) -> tuple[RawObject | None, list[Fault]]:
    """Returns the object of an annotation, or None, and what is wrong with it."""
    category = identifier(annotation.get("category_id"))
    if category is None or category not in names:
        return None, [Fault("unknown_class", f"category_id {shown(annotation.get('category_id'))}", field)]
    sides = annotation.get("bbox")
    numbers = [number(side) for side in sides] if isinstance(sides, list) and len(sides) == 4 else [None]
    if None in numbers:
        return None, [Fault("box_degenerate", f"{shown(names[category])}: bbox is no four numbers", field)]
    x, y, width, height = typing.cast(list[float], numbers)
    segmentation, error = outline(annotation.get("segmentation"))
    crowd = annotation.get("iscrowd") in (1, True)
    found = RawObject(names[category], (x, y, x + width, y + height), crowd, segmentation, field=field)
    return found, [Fault("malformed", f"segmentation: {error}", field)] if error else []
