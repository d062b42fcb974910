"""COCO's files: one of the truth, and one of results, a list of detections.

Source: https://cocodataset.org/#format-data and https://cocodataset.org/#format-results.

What cannot be counted is an error, never left out: a detection of an image or a class that the truth
does not have, a box of negative width, a score that is no number.
"""

import collections
import dataclasses
import math
import typing
from collections.abc import Sequence

import numpy as np

from conveyor.components.example_gen.readers.names import printable, shown
from conveyor.components.example_gen.readers.values import identifier, number, read_json
from conveyor.components.metrics_files.boxes import BoxFiles, Segmentation
from conveyor.components.metrics_files.outlines import Sizes, areas, bounds, run_lengths, sizes_of
from conveyor.models.metrics.detection.objects import Detections, Truth
from conveyor.pipeline.errors import UserError

MAX_JSON = 2 << 30  # bytes
_LISTS = ("images", "annotations", "categories")

Entry = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class _Index:
    """What the truth says there is: index of each image and class by its id, and the images' sizes."""

    images: dict[typing.Any, int]
    classes: dict[typing.Any, int]
    sizes: Sizes


def read_coco(truth: str, detections: Sequence[str], masks: bool) -> BoxFiles:
    """Reads COCO's files.

    Args:
        truth: Path of the annotations.
        detections: Paths of results, one a detector.
        masks: Whether to go by outlines instead of boxes.

    Raises:
        UserError: A file cannot be read, or something in it cannot be counted.
    """
    document = _document(truth)
    index, names = _index(document, truth)
    true, outlines = _truth(document["annotations"], index, truth, masks)
    found = [_results(path, index, masks) for path in detections]
    return BoxFiles(
        len(index.images),
        names,
        true,
        [some for some, _ in found],
        (outlines, [some for _, some in found]) if masks else None,
    )


def _document(path: str) -> Entry:
    document = _load(path)
    if not isinstance(document, dict) or not all(isinstance(document.get(name), list) for name in _LISTS):
        raise UserError(
            "this is no file of COCO annotations",
            expected='JSON with the lists "images", "annotations" and "categories"',
            received=shown(document),
            where=printable(path),
            fix="name the truth first, then the detections",
        )
    return document


def _load(path: str) -> typing.Any:
    try:
        return read_json(path, MAX_JSON)
    except UserError as error:  # told as of a data source
        raise UserError(
            "the JSON file cannot be read",
            expected=error.expected,
            received=error.received,
            where=error.where,
        ) from error


def _index(document: Entry, path: str) -> tuple[_Index, list[str]]:
    """Returns the index, and the names of the classes, by rising id as the COCO API has them."""
    images, categories = (_by_id(document[name], f"{path}: {name}") for name in ("images", "categories"))
    names = [printable(str(entry.get("name", key))) for key, entry in categories.items()]
    # two classes of one name are told apart by their ids
    times = collections.Counter(names)
    names = [
        name if times[name] == 1 else f"{name} ({shown(key)})"
        for key, name in zip(categories, names, strict=True)
    ]
    index = _Index(
        {key: place for place, key in enumerate(images)},
        {key: place for place, key in enumerate(categories)},
        sizes_of(list(images.values())),
    )
    return index, names


def _by_id(entries: list[typing.Any], where: str) -> dict[typing.Any, Entry]:
    found: dict[typing.Any, Entry] = {}
    for place, entry in enumerate(entries):
        key = identifier(entry.get("id")) if isinstance(entry, dict) else None
        if key is None or key in found:
            what = "has no usable id" if key is None else "has the id of another one"
            raise UserError(
                f"an entry {what}",
                expected="an object with an id of its own",
                received=shown(entry) if key is None else f"id {shown(key)} once more",
                where=printable(f"{where}[{place}]"),
            )
        found[key] = entry
    # numbers by size; what is no number after them
    order = sorted(found, key=lambda key: (isinstance(key, str), key))
    return {key: found[key] for key in order}


def _truth(entries: list[typing.Any], index: _Index, path: str, masks: bool) -> tuple[Truth, Segmentation]:
    where = f"{path}: annotations"
    image, label = _whose(entries, index, where)
    _unique_ids(entries, where)
    outlines = run_lengths(entries, image, index.sizes, where) if masks else []
    box, extent = (bounds(outlines), areas(outlines)) if masks else _boxes(entries, where)
    area = [_area(entry, place, where) for place, entry in enumerate(entries)]
    crowd = [entry.get("iscrowd", 0) in (1, True) for entry in entries]
    truth = Truth.of(image, label, box, crowd=np.array(crowd, bool))
    given = np.array([math.nan if value is None else value for value in area], np.float64)
    return dataclasses.replace(truth, extent=extent, area=np.where(np.isnan(given), extent, given)), outlines


def _results(path: str, index: _Index, masks: bool) -> tuple[Detections, Segmentation]:
    entries = _load(path)
    if not isinstance(entries, list):
        raise UserError(
            "this is no file of COCO results",
            expected='a JSON list of {"image_id", "category_id", "bbox", "score"}',
            received=shown(entries),
            where=printable(path),
        )
    image, label = _whose(entries, index, path)
    score = np.array([_score(entry, place, path) for place, entry in enumerate(entries)], np.float64)
    if masks:
        outlines = run_lengths(entries, image, index.sizes, path)
        # the COCO API takes the area of the boxes if the first result has one
        area = _boxes(entries, path)[1] if entries and entries[0].get("bbox") else areas(outlines)
        return Detections.of(image, label, bounds(outlines), score, area), outlines
    box, extent = _boxes(entries, path)
    found = Detections.of(image, label, box, score)
    return dataclasses.replace(found, extent=extent, area=extent), []


def _whose(entries: list[typing.Any], index: _Index, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of the image and of the class of each entry."""
    found = []
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise UserError(
                "an entry is no object", received=shown(entry), where=printable(f"{where}[{place}]")
            )
        image, label = (identifier(entry.get(name)) for name in ("image_id", "category_id"))
        if image not in index.images or label not in index.classes:
            name, known = (
                ("image", index.images) if image not in index.images else ("category", index.classes)
            )
            some = shown(next(iter(known), None))
            raise UserError(
                f"there is no such {name} in the truth",
                expected=f"one of the {len(known):,} ids in its list, such as {some}",
                received=f"{name}_id {shown(entry.get(f'{name}_id'))}",
                where=printable(f"{where}[{place}]"),
                fix="give the truth and the detections of the same images and classes",
            )
        found.append((index.images[image], index.classes[label]))
    columns = np.array(found, np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def _unique_ids(entries: list[Entry], where: str) -> None:
    seen = set()
    for place, entry in enumerate(entries):
        key = identifier(entry.get("id"))
        if key is not None and key in seen:
            raise UserError(
                "two annotations have one id",
                received=f"id {shown(key)} once more",
                where=printable(f"{where}[{place}]"),
                fix="give each an id of its own; COCO's own tools would count one of them twice",
            )
        seen.add(key)


def _boxes(entries: list[Entry], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns float64 [n, 4], left, top, right, bottom, and float64 [n], width x height as given."""
    rows = [_sides(entry, place, where) for place, entry in enumerate(entries)]
    box = np.array(rows, np.float64).reshape(-1, 4)
    extent = box[:, 2] * box[:, 3]
    box[:, 2:] += box[:, :2]
    return box, extent


def _sides(entry: Entry, place: int, where: str) -> list[float]:
    sides: typing.Any = entry.get("bbox")
    numbers = [number(side) for side in sides] if isinstance(sides, list) and len(sides) == 4 else []
    finite = [side for side in numbers if side is not None and abs(side) < 1e9]
    if len(finite) != 4 or finite[2] < 0 or finite[3] < 0:
        raise UserError(
            "this is no box",
            expected="bbox [x, y, width, height], pixels, width and height at least 0",
            received="bbox " + (f"[{', '.join(map(shown, sides))}]" if numbers else shown(sides)),
            where=printable(f"{where}[{place}]"),
            fix="boxes as left, top, right, bottom have to be turned into COCO's form",
        )
    return finite


def _score(entry: Entry, place: int, where: str) -> float:
    score = number(entry.get("score"))
    if score is None or not math.isfinite(score):
        raise UserError(
            "this is no score",
            expected="score, a number, neither infinite nor NaN",
            received=f"score {shown(entry.get('score'))}",
            where=printable(f"{where}[{place}]"),
        )
    return score


def _area(entry: Entry, place: int, where: str) -> float | None:
    if "area" not in entry:
        return None  # the box's
    area = number(entry["area"])
    if area is None or not 0 <= area < math.inf:
        raise UserError(
            "this is no area",
            expected="area in square pixels, at least 0",
            received=f"area {shown(entry['area'])}",
            where=printable(f"{where}[{place}]"),
        )
    return area
