"""Folders of masks of class indices: the truth and a prediction of the same names."""

import dataclasses
import io
import pathlib
from collections.abc import Sequence

import numpy as np
import PIL.Image

from conveyor.components.example_gen.readers.files import read_limited
from conveyor.components.example_gen.readers.masks import MAX_BYTES, MAX_LIST, MAX_PIXELS, VOID
from conveyor.components.example_gen.readers.names import printable, shown
from conveyor.models.metrics.boundaries import boundary_f1
from conveyor.models.metrics.segmentation import confusion
from conveyor.pipeline.errors import UserError, did_you_mean

_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "PPM")  # none that changes pixels
_MODES = ("L", "P", "1")


@dataclasses.dataclass(frozen=True)
class MaskFiles:
    """What is known of n images with masks.

    Args:
        classes: Names of the classes, in the order of their indices.
        confusions: int64 [n, classes, classes]; see `confusion`.
        boundaries: float64 [n, classes]; see `boundary_f1`.
        present: bool [n, classes], whether the truth has the class.
    """

    classes: list[str]
    confusions: np.ndarray
    boundaries: np.ndarray
    present: np.ndarray


def read_masks(truth: str, predicted: Sequence[str]) -> list[MaskFiles]:
    """Compares masks, one folder of predictions after the other.

    Args:
        truth: Folder of masks, as PNG or the like; 255 is void. With `classes.txt` in it or
            beside it, the names of the classes, one a line; without it as many as the masks hold.
        predicted: Folders of masks of the same names.

    Raises:
        UserError: A mask is missing, cannot be read, is of another size, or holds what is no class.
    """
    true = _listing(truth)
    others = [_listing(folder) for folder in predicted]
    for folder, other in zip(predicted, others, strict=True):
        for one, many, of in ((true, other, folder), (other, true, truth)):
            absent = sorted(one.keys() - many.keys())
            if absent:
                raise UserError(
                    f"{len(absent):,} masks are missing",
                    expected="the same names in both folders",
                    received=f"no {shown(absent[0])}",
                    where=printable(of),
                    fix=did_you_mean(absent[0], list(many)[:1000]),
                )
    names = _names(truth)
    if not names:
        paths = [path for listing in (true, *others) for path in listing.values()]
        names = [f"class_{index}" for index in range(max(map(_highest, paths)) + 1)]
    return [_compare(true, other, names) for other in others]


def _compare(true: dict[str, pathlib.Path], other: dict[str, pathlib.Path], names: list[str]) -> MaskFiles:
    rows = []
    for stem, path in true.items():
        masks = _read(path), _read(other[stem])
        try:
            counts = confusion(*masks, len(names))
            outlines = boundary_f1(*masks, len(names))
        except ValueError as error:
            raise UserError(
                "two masks cannot be compared", received=str(error), where=printable(str(other[stem]))
            ) from error
        rows.append((counts, outlines, counts.sum(axis=1) > 0))
    return MaskFiles(names, *(np.stack(column) for column in zip(*rows, strict=True)))


def _listing(folder: str) -> dict[str, pathlib.Path]:
    """Returns stem -> path of each mask, sorted."""
    there = pathlib.Path(folder)
    found: dict[str, pathlib.Path] = {}
    suffixes = {".png", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
    for path in sorted(there.iterdir()) if there.is_dir() else ():
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise UserError("two masks are of one name", received=path.stem, where=printable(str(there)))
            found[path.stem] = path
    if not found:
        raise UserError("there is no mask here", expected="PNG files in a folder", where=printable(folder))
    return found


def _names(folder: str) -> list[str]:
    paths = [
        place / "classes.txt" for place in (pathlib.Path(folder), pathlib.Path(folder).absolute().parent)
    ]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return []
    names = read_limited(str(path), MAX_LIST).decode("utf-8", "backslashreplace").splitlines()
    names = [printable(name.strip()) for name in names if name.strip()]
    if len(set(names)) < len(names) or len(names) > VOID:
        raise UserError(
            "these are no names of classes",
            expected=f"up to {VOID} lines, each another name",
            where=printable(str(path)),
        )
    return names


def _highest(path: pathlib.Path) -> int:
    mask = _read(path)
    return int(np.where(mask == VOID, 0, mask).max(initial=0))


def _read(path: pathlib.Path) -> np.ndarray:
    """Returns uint8 [height, width]."""
    try:
        data = read_limited(str(path), MAX_BYTES)
        with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.mode in _MODES and image.width * image.height <= MAX_PIXELS:
                return np.asarray(image).astype(np.uint8)
            received = f"{image.width} x {image.height} pixels of mode {image.mode}"
    except Exception as error:  # decoders raise of many kinds on hostile bytes
        received = shown(f"{type(error).__name__}: {error}", 120)
    raise UserError(
        "this is no mask",
        expected=f"a grey or palette image of class indices, up to {MAX_PIXELS:,} pixels",
        received=received,
        where=printable(str(path)),
        fix="masks in colour have to be turned into class indices",
    )
