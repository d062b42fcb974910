"""Which format data has: found by trying the readers, those first that tell most of an image."""

import collections
import dataclasses
import itertools
import os
from collections.abc import Iterator

from conveyor.components.example_gen.readers.files import Listing, locate
from conveyor.components.example_gen.readers.names import SPLITS, printable
from conveyor.components.example_gen.readers.raw import RawExample
from conveyor.components.example_gen.readers.reader import Reader, open_source
from conveyor.pipeline.errors import UserError

# Format -> what it looks like. Of several that fit the first is taken.
FORMATS = {
    "coco": "a JSON file of images, annotations and categories, and images/ beside it",
    "voc": "JPEGImages/<name>.jpg and Annotations/<name>.xml",
    "yolo": "data.yaml or classes.txt, images/<name>.jpg and labels/<name>.txt",
    "masks": "images/<name>.jpg and masks/<name>.png, which holds class indices",
    "tfds": "dataset_info.json and shards, as TensorFlow Datasets writes them",
    "tfrecord": "<name>.tfrecord files of encoded images",
    "csv": "a .csv file with the columns path and label",
    "npz": "an .npz file with the arrays x and y",
    "folder": "two class folders or more: <class>/<image>, or <split>/<class>/<image>",
}
_SUFFIXES = {
    ".json": "coco",
    ".yaml": "yolo",
    ".yml": "yolo",
    ".csv": "csv",
    ".npz": "npz",
    **dict.fromkeys((".tfrecord", ".tfrecords", ".tfrec", ".record"), "tfrecord"),
}
_PICTURES = frozenset(("images", "jpegimages"))
# Folder beside the pictures -> formats that have it.
_BESIDE = {
    "annotations": {"voc", "masks"},
    "labels": {"yolo", "masks"},
    "masks": {"masks"},
    "segmentationclass": {"masks"},
}
_DEPTH = 5  # folders with nothing but one folder in them that are entered
_MOST = 10  # CSV and NPZ files of a folder that are tried
_PROBE = 1000  # examples that are read to find one with an annotation


@dataclasses.dataclass(frozen=True)
class Detected:
    """What was found.

    Args:
        format: A key of `FORMATS`.
        path: The file or folder to read, absolute.
        reader: Reads it.
        alternatives: Other sources that fit, such as "masks:DIR".
        entered: The folder that was entered because it is the only one; "" for none.
    """

    format: str
    path: str
    reader: Reader
    alternatives: list[str]
    entered: str = ""

    @property
    def source(self) -> str:
        """What `data.source` must be."""
        return f"{self.format}:{self.path}"


def detect(data: str) -> Detected:
    """Returns the format of a file, or of what a folder holds.

    Raises:
        UserError: There is no such data, it is of no known format, or it is and cannot be used.
    """
    start, is_folder = locate(data, "a folder of images and what is known of them, or a file that lists them")
    refused: dict[str, UserError] = {}
    layout: set[str] = set()
    for path in _ways_in(start) if is_folder else [start]:
        layout = _layouts(Listing(path)) if is_folder else {_format_of(path)}
        readers: dict[str, Reader] = {}
        for form, argument in _candidates(path, layout) if is_folder else [(_format_of(path), path)]:
            # Folders of images and of annotations look like class folders, so these are what is left.
            left_over = not readers and not layout & refused.keys()
            if (form != "folder" or left_over) and (reader := _open(form, argument, refused)):
                readers[f"{form}:{argument}"] = reader
        if readers:
            source, *others = readers
            form, _, argument = source.partition(":")
            entered = printable(os.path.relpath(path, start)) if path != start else ""
            return Detected(form, argument, readers[source], others, entered)
    errors = [error for form, error in refused.items() if form in layout]
    raise errors[0] if len(errors) == 1 else _unknown(start, is_folder, refused)


def examples_of(reader: Reader) -> Iterator[RawExample]:
    """Yields all examples of a source."""
    return itertools.chain.from_iterable(map(reader.read, reader.chunks()))


def _open(form: str, argument: str, refused: dict[str, UserError]) -> Reader | None:
    """Returns a reader if it finds annotated images; notes why, if it does not."""
    if not form:
        return None
    try:
        reader = open_source(f"{form}:{argument}")
        reader.classes()
        labels = set()
        for example in itertools.islice(examples_of(reader), _PROBE):
            if example.data is not None and (example.label or example.objects or example.mask):
                labels.add(example.label)
                if form != "folder" or len(labels) > 1:
                    return reader
        what = "there is only one class folder with images" if labels else "there is no annotated image"
        raise UserError(what, expected=FORMATS[form], where=printable(argument))
    except UserError as error:
        refused.setdefault(form, error)
        return None


def _ways_in(folder: str) -> Iterator[str]:
    """Yields a folder, and that in it as long as it is the only one and there is no known layout."""
    for _ in range(_DEPTH):
        yield folder
        listing = Listing(folder)
        if len(listing.folders()) != 1 or _layouts(listing):
            return
        folder = os.path.join(folder, listing.folders()[0])


def _candidates(folder: str, layout: set[str]) -> list[tuple[str, str]]:
    """Returns formats, with the file or folder to read, that names in a folder speak for."""
    listing = Listing(folder)
    inner = [name for name in listing.folders() if name.lower() in {*SPLITS, "annotations"}]
    names = itertools.chain(listing.files(), *map(listing.files, inner))
    found = {_format_of(name) for name in names} - {"csv", "npz"} | layout
    single = sorted((_format_of(name), os.path.join(folder, name)) for name in listing.files())
    tables = [pair for pair in single if pair[0] in ("csv", "npz")]
    return [(form, folder) for form in FORMATS if form in found] + tables[:_MOST] + [("folder", folder)]


def _layouts(listing: Listing) -> set[str]:
    """Returns the formats whose layout of folders is there, so that these are no class folders."""
    folders = listing.folders()
    found = {"tfds"} if "dataset_info.json" in listing.files() else set()
    for parent in ("", *(name for name in folders if name.lower() in SPLITS)):
        names = {name.lower() for name in listing.folders(parent)}
        if names & _PICTURES:
            found = found.union(*(_BESIDE.get(name, ()) for name in names))
    return found


def _format_of(path: str) -> str:
    """Returns the format that a file of such a name may be of; "" for none."""
    return _SUFFIXES.get(os.path.splitext(path)[1].lower().partition("-")[0], "")


def _unknown(path: str, is_folder: bool, refused: dict[str, UserError]) -> UserError:
    listing = Listing(path)
    kinds = collections.Counter(
        os.path.splitext(name)[1].lower() or "without suffix" for name in sorted(listing.files())
    )
    seen = [f"{count} {printable(kind)}" for kind, count in kinds.most_common(5)]
    if folders := listing.folders():
        seen.append(
            f"{len(folders)} folders ({', '.join(map(printable, folders[:5]))}{', …' * (len(folders) > 5)})"
        )
    tried = [f"{form}: {error.what.removeprefix('data.source: ')}" for form, error in refused.items()]
    return UserError(
        "the data is of no format that is known",
        expected=_lines(f"{form}: {look}" for form, look in FORMATS.items()),
        received=_lines([", ".join(seen) or ("an empty folder" if is_folder else "a file"), *tried]),
        where=printable(path),
        fix="name the folder or file that looks like one of these; unpack archives first",
    )


def _lines(texts: Iterator[str] | list[str]) -> str:
    """Returns texts one below the other, as they stand in a message."""
    return ("\n" + " " * 12).join(texts)
