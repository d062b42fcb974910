"""Pascal VOC's files: XML of the truth, and one text file of detections a class.

Source: M. Everingham, J. Winn, "The PASCAL Visual Object Classes Challenge 2012 Development Kit",
section 6.2: `<anything>_<class>.txt`, a line for each detection: image, score, left, top, right,
bottom. Pixels are counted from 1, and a box holds both of its edges; so its width is right - left + 1.
"""

import collections
import math
import os
import pathlib
import typing
from collections.abc import Sequence

import numpy as np

from conveyor.components.example_gen.readers.files import read_limited
from conveyor.components.example_gen.readers.names import UnsafePathError, printable, safe_path, shown
from conveyor.components.example_gen.readers.voc import MAX_XML, parse
from conveyor.components.metrics_files.boxes import BoxFiles
from conveyor.models.metrics.detection.objects import Detections, Truth
from conveyor.pipeline.errors import UserError, did_you_mean

MAX_TEXT = 1 << 30  # bytes
_SIDES = ("xmin", "ymin", "xmax", "ymax")

Row = tuple[typing.Any, ...]


def read_voc(truth: str, detections: Sequence[str], subset: str | None) -> BoxFiles:
    """Reads Pascal VOC's files.

    Args:
        truth: Folder with `Annotations`, or of XML files.
        detections: Folders of text files, one a detector.
        subset: Name of a list in `ImageSets/Main` of the images; all unless told.

    Raises:
        UserError: A file cannot be read, or something in it cannot be counted.
    """
    folder = pathlib.Path(truth) / "Annotations"
    folder = folder if folder.is_dir() else pathlib.Path(truth)
    stems = _subset(pathlib.Path(truth), subset) if subset else sorted(p.stem for p in folder.glob("*.xml"))
    if not stems:
        raise UserError(
            "there is no annotation here",
            expected="DIR/Annotations/NAME.xml, or DIR/NAME.xml",
            where=printable(str(truth)),
        )
    rows = [(index, *row) for index, stem in enumerate(stems) for row in _objects(folder / f"{stem}.xml")]
    classes = sorted({row[1] for row in rows})
    true = Truth.of(
        *_whose(rows, classes),
        np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        difficult=np.array([row[3] for row in rows], bool),
    )
    images = {stem: index for index, stem in enumerate(stems)}
    found = [_detections(pathlib.Path(path), images, classes) for path in detections]
    return BoxFiles(len(stems), classes, true, found)


def _subset(folder: pathlib.Path, name: str) -> list[str]:
    path = folder / "ImageSets" / "Main" / f"{name}.txt"
    try:
        safe_path(name)
        # "name", or "name 1" as in the lists of one class
        stems = [safe_path(line.split()[0]) for line in _text(path).splitlines() if line.strip()]
    except UnsafePathError as error:
        raise UserError(
            "this is no list of images", received=str(error), where=printable(str(path))
        ) from error
    [(most, times)] = collections.Counter(stems).most_common(1) or [("", 0)]
    if times > 1:
        raise UserError("an image is listed more than once", received=shown(most), where=printable(str(path)))
    return sorted(stems)


def _objects(path: pathlib.Path) -> list[Row]:
    """Returns class, box and whether it is difficult, of each object."""
    try:
        root = parse(_bytes(path, MAX_XML))
    except ValueError as error:
        raise UserError("this is no annotation", received=str(error), where=printable(str(path))) from error
    rows = []
    for index, element in enumerate(root.findall("object")):
        where = f"{path}: object {index + 1}"
        label = printable((element.findtext("name") or "").strip())
        if not label:
            raise UserError("an object has no name", where=printable(where))
        box = _box([element.findtext(f"bndbox/{side}") or "" for side in _SIDES], where)
        rows.append((label, box, (element.findtext("difficult") or "").strip() not in ("", "0")))
    return rows


def _detections(folder: pathlib.Path, images: dict[str, int], classes: list[str]) -> Detections:
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise UserError(
            "there are no detections here",
            expected="DIR/anything_CLASS.txt, with lines: image score left top right bottom",
            where=printable(str(folder)),
            fix="where a detector found nothing, an empty file of one class says so",
        )
    rows: list[Row] = []
    taken: dict[str, pathlib.Path] = {}
    for path in files:
        label = _class_of(path, classes)
        if label in taken:
            raise UserError(
                f"two files are of class {shown(label)}",
                received=f"{taken[label].name}, {path.name}",
                where=printable(str(folder)),
                fix="keep the files of each detector in a folder of their own",
            )
        taken[label] = path
        for number, line in enumerate(_text(path).splitlines(), 1):
            if line.strip():
                image, box, score = _line(line, images, f"{path}: line {number}")
                rows.append((image, label, box, score))
    return Detections.of(
        *_whose(rows, classes),
        np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
        np.array([row[3] for row in rows], np.float64),
    )


def _class_of(path: pathlib.Path, classes: list[str]) -> str:
    ending = [name for name in classes if path.stem == name or path.stem.endswith(f"_{name}")]
    if not ending:
        raise UserError(
            "the truth has no object of this file's class",
            expected="a name that ends in a class: " + ", ".join(classes[:20]),
            received=shown(path.name),
            where=printable(str(path.parent)),
            fix=did_you_mean(path.stem.rpartition("_")[2], classes),
        )
    return max(ending, key=len)


def _line(line: str, images: dict[str, int], where: str) -> tuple[int, list[float], float]:
    parts = line.strip().rsplit(None, 5)
    score = _number(parts[1]) if len(parts) == 6 else None
    if score is None:
        raise UserError(
            "this line is no detection",
            expected="image score left top right bottom; the score neither infinite nor NaN",
            received=shown(line),
            where=printable(where),
        )
    if parts[0] not in images:
        raise UserError(
            "there is no such image in the truth",
            expected=f"one of its {len(images):,} images, such as {shown(next(iter(images)))}",
            received=shown(parts[0]),
            where=printable(where),
            fix="give the truth and the detections of the same images; --set chooses some",
        )
    return images[parts[0]], _box(parts[2:], where), score


def _box(texts: list[str], where: str) -> list[float]:
    numbers = [_number(text) for text in texts]
    sides = [side for side in numbers if side is not None and abs(side) < 1e9]
    if len(sides) != 4 or sides[2] < sides[0] or sides[3] < sides[1]:
        raise UserError(
            "this is no box",
            expected="left, top, right, bottom in pixels, right not below left, bottom not below top",
            received=", ".join(shown(text) for text in texts),
            where=printable(where),
        )
    return [sides[0] - 1, sides[1] - 1, sides[2], sides[3]]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whose(rows: list[Row], classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    place = {name: index for index, name in enumerate(classes)}
    image = np.array([row[0] for row in rows], np.int64)
    return image, np.array([place[row[1]] for row in rows], np.int64)


def _text(path: pathlib.Path) -> str:
    return os.fsdecode(_bytes(path, MAX_TEXT))


def _bytes(path: pathlib.Path, limit: int) -> bytes:
    try:
        return read_limited(str(path), limit)
    except OSError as error:
        raise UserError(
            "a file cannot be read", received=str(error.strerror), where=printable(str(path))
        ) from error
