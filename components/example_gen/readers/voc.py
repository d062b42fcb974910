"""Pascal VOC: `DIR/JPEGImages`, `DIR/Annotations/*.xml` and, for splits, `DIR/ImageSets/Main/*.txt`.

Source: M. Everingham, J. Winn, "The PASCAL Visual Object Classes Challenge 2012 Development Kit",
section 4 (image sets) and section "Annotation": a box holds the pixels from (xmin, ymin) to (xmax, ymax),
both included, and the top left pixel of an image is (1, 1). Its edges are at xmin - 1, ymin - 1, xmax, ymax.
"""

import collections
import dataclasses
import functools
import os
import pathlib
import typing
from collections.abc import Iterator, Sequence

import defusedxml.ElementTree

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
from conveyor.components.example_gen.readers.store import each
from conveyor.components.example_gen.readers.values import image_size
from conveyor.pipeline.errors import UserError

USAGE = "voc:DIR, with DIR/JPEGImages/<name>.jpg and DIR/Annotations/<name>.xml"
SETS = "ImageSets/Main"
MAX_XML = 16 << 20  # bytes; the annotation of one image
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclasses.dataclass
class _Item:
    """One example to be read, or what stands for something that cannot be."""

    key: str
    split: str = ""
    reason: str = ""
    error: str = ""
    objects: tuple[RawObject, ...] = ()
    size: tuple[int, int] | None = None
    faults: tuple[Fault, ...] = ()


class VOCReader:
    """Reads Pascal VOC data.

    An image that several sets name is taken for the first of test, validation and train that does,
    and carries a fault. What only `trainval` names is training data.

    Args:
        argument: The directory.

    Raises:
        UserError: It is missing, or has no JPEGImages or no Annotations.
    """

    annotations = frozenset({"objects"})

    def __init__(self, argument: str):
        self.folder, _ = locate(argument, USAGE)
        self._images_dir = self._find("jpegimages", "images")
        self._xml_dir = self._find("annotations")

    def _find(self, *names: str) -> str:
        for folder in self._listing.folders():
            if folder.lower() in names:
                return folder
        raise UserError(
            "data.source: this is no folder of Pascal VOC data",
            expected=USAGE,
            received=", ".join(map(printable, self._listing.folders())) or "no folders",
            where=printable(self.folder),
            fix="name the folder that holds both, such as VOCdevkit/VOC2012",
        )

    @functools.cached_property
    def _listing(self) -> Listing:
        return Listing(self.folder)

    @functools.cached_property
    def _images(self) -> dict[str, list[str]]:
        """Stem -> paths of its images; more than one where names differ in their suffix only."""
        found: dict[str, list[str]] = {}
        for name in sorted(filter(is_image, self._listing.files(self._images_dir))):
            found.setdefault(os.path.splitext(name)[0], []).append(f"{self._images_dir}/{name}")
        return found

    @functools.cached_property
    def _xmls(self) -> dict[str, str]:
        files = (name for name in self._listing.files(self._xml_dir) if not name.startswith("."))
        names = sorted(name for name in files if suffix(name) == ".xml")
        return {os.path.splitext(name)[0]: f"{self._xml_dir}/{name}" for name in names}

    @property
    def _set_files(self) -> list[str]:
        names = {"trainval.txt", *(f"{word}.txt" for word in SPLITS)} & self._listing.files(SETS)
        return [f"{SETS}/{name}" for name in sorted(names)]

    @functools.cached_property
    def _sets(self) -> dict[str, list[str]]:
        """Set file -> the stems it names, in its order."""
        return {path: self._read_set(path) for path in self._set_files}

    def _read_set(self, path: str) -> list[str]:
        try:
            text = os.fsdecode(read_limited(os.path.join(self.folder, path), 1 << 30))
        except OSError as error:
            raise UserError(
                "data.source: an image set cannot be read",
                received=str(error.strerror),
                where=printable(path),
            ) from error
        return [self._stem(line.strip()) for line in text.splitlines() if line.strip()]

    def _stem(self, line: str) -> str:
        """Returns what a line names: "name", "name.jpg", or "name 1" as in sets of one class."""
        if line in self._images or line in self._xmls:
            return line
        if len(parts := line.rsplit(None, 1)) == 2 and parts[1] in ("1", "0", "-1"):
            line = parts[0]
        return os.path.splitext(line)[0] if is_image(line) else line

    @functools.cached_property
    def _members(self) -> dict[str, list[tuple[str, str]]]:
        """Stem -> (set file, split) of each time it is named, the split it is taken for first."""
        found: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
        for path, stems in self._sets.items():
            split = SPLITS.get(pathlib.PurePosixPath(path).stem, "")
            for stem in stems:
                found[stem].append((path, split))
        return {stem: sorted(named, key=lambda m: SPLIT_ORDER.index(m[1])) for stem, named in found.items()}

    @functools.cached_property
    def _items(self) -> list[_Item]:
        stems = sorted(self._images.keys() | self._xmls.keys() | self._members.keys())
        found = each(self._items_of, stems, self.folder)
        return [item for items in found for item in items]

    def _items_of(self, stem: str) -> list[_Item]:
        images, xml = self._images.get(stem, []), self._xmls.get(stem)
        split, faults = self._split(stem)
        if not images:
            return [self._without_image(stem, xml, split)]
        if xml is None:
            told = f"there is no {self._xml_dir}/{shown(stem)}.xml"
            first = _Item(images[0], split, "missing_annotation", told)
        else:
            first = self._annotated(_Item(images[0], split, faults=faults), xml)
        told = f"{shown(xml)} goes with {shown(images[0])}" if xml else "there is no XML of its name"
        return [first, *(_Item(image, split, "missing_annotation", told) for image in images[1:])]

    def _without_image(self, stem: str, xml: str | None, split: str) -> _Item:
        if xml is not None:
            return _Item(
                xml, split, "missing_image", f"there is no image {shown(stem)} in {self._images_dir}"
            )
        key = f"{self._members[stem][0][0]}: {stem}"
        try:
            safe_path(stem)
        except UnsafePathError as error:
            return _Item(key, split, "unsafe_path", str(error))
        return _Item(key, split, "missing_image", "named, but there is neither image nor XML")

    def _split(self, stem: str) -> tuple[str, tuple[Fault, ...]]:
        """Returns the split of an image, and what is wrong with how it is given."""
        named = self._members.get(stem, [])
        if not named:
            told = Fault("missing_annotation", "in no image set, so taken as training data", "split")
            return "", (told,) if self._sets else ()
        faults = []
        files = [path for path, _ in named]
        splits = list(dict.fromkeys(split for _, split in named if split)) or ["train"]
        if len(splits) > 1:
            faults.append(Fault("duplicate_file", f"in {', '.join(splits)}: taken for {splits[0]}", "split"))
        # An image of train or val is in trainval too: that is how it is meant.
        if "test" in splits and f"{SETS}/trainval.txt" in files and len(splits) == 1:
            faults.append(Fault("duplicate_file", "in trainval and test: taken for test", "split"))
        again = [path for path, count in collections.Counter(files).items() if count > 1]
        faults += [Fault("duplicate_file", f"named more than once in {path}", "split") for path in again]
        return splits[0], tuple(faults)

    def _annotated(self, item: _Item, xml: str) -> _Item:
        """Fills in what an XML file says."""
        try:
            root = parse(read_limited(os.path.join(self.folder, xml), MAX_XML))
        except OSError as error:
            return _Item(item.key, item.split, "malformed", f"{shown(xml)}: {error.strerror}")
        except ValueError as error:
            return _Item(item.key, item.split, "malformed", f"{shown(xml)}: {error}")
        found = [_object(element, index) for index, element in enumerate(root.findall("object"))]
        item.size = image_size(root.findtext("size/width"), root.findtext("size/height"))
        item.objects = tuple(part for part in found if isinstance(part, RawObject))
        item.faults += tuple(part for part in found if isinstance(part, Fault))
        return item

    def classes(self) -> list[str]:
        return sorted({thing.label for item in self._items for thing in item.objects})

    def splits(self) -> set[str]:
        return {item.split for item in self._items if item.split and not item.reason}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        images = [path for paths in self._images.values() for path in paths]
        return self._listing.fingerprint([*images, *self._xmls.values(), *self._set_files], workspace)

    def chunks(self) -> list[Sequence[_Item]]:
        return shuffled(self._items, lambda item: item.key)

    def read(self, chunk: Sequence[_Item]) -> Iterator[RawExample]:
        yield from each(self._read, chunk, self.folder)

    def _read(self, item: _Item) -> RawExample:
        if item.reason:
            return rejected(item.key, item.reason, item.error, item.split)
        data, reason, error = read_image(self.folder, item.key)
        example = RawExample(printable(item.key), "", item.split, data, error, reason)
        return dataclasses.replace(example, objects=item.objects, size=item.size, faults=item.faults)

    def __getstate__(self) -> dict[str, str]:
        return {"folder": self.folder}  # workers get chunks, they need no listing


def parse(data: bytes) -> typing.Any:
    """Returns the `annotation` element of an XML file.

    Raises:
        ValueError: It is no such XML, or defines entities or a document type.
    """
    try:
        root = defusedxml.ElementTree.fromstring(data, forbid_dtd=True)
    except Exception as error:  # parsers raise of many kinds on hostile bytes
        raise ValueError(shown(f"{type(error).__name__}: {error}", 120).strip("'\"")) from error
    if root.tag != "annotation":
        raise ValueError(f"expected <annotation>, found <{shown(root.tag)}>")
    return root


def _object(element: typing.Any, index: int) -> RawObject | Fault:
    """Returns an object of an annotation, or what is wrong with it."""
    field = f"objects[{index}]"
    label = printable((element.findtext("name") or "").strip())
    if not label:
        return Fault("malformed", "an object without a name", field)
    sides = [(element.findtext(f"bndbox/{side}") or "").strip() for side in _SIDES]
    try:
        left, top, right, bottom = map(float, sides)
    except ValueError:
        said = ", ".join(f"{side} {shown(text)}" for side, text in zip(_SIDES, sides, strict=True))
        return Fault("box_degenerate", f"{shown(label)}: {said}", field)
    # One pixel by the letter, but nobody draws that: it is a click.
    if left == right or top == bottom:
        return Fault(
            "box_degenerate", f"{shown(label)}: from {left:g}, {top:g} to {right:g}, {bottom:g}", field
        )
    difficult = (element.findtext("difficult") or "").strip() not in ("", "0")
    return RawObject(label, (left - 1, top - 1, right, bottom), difficult=difficult, field=field)
