"""Outlines of COCO's files as run lengths."""

import typing

import hotcoco.mask
import numpy as np

from conveyor.components.example_gen.readers.names import printable
from conveyor.components.example_gen.readers.outlines import outline
from conveyor.components.example_gen.readers.values import image_size
from conveyor.pipeline.errors import UserError

MAX_SIDE = 1 << 16  # pixels, of an image
Sizes = list[tuple[int, int] | None]
Rle = dict[str, typing.Any]


def sizes_of(images: list[dict[str, typing.Any]]) -> Sizes:
    """Returns width and height of each image; None where they are not told."""
    return [image_size(image.get("width"), image.get("height")) for image in images]


def run_lengths(
    entries: list[dict[str, typing.Any]], image: np.ndarray, sizes: Sizes, where: str
) -> list[Rle]:
    """Returns the run lengths of each entry's `segmentation`.

    Args:
        entries: Annotations or results.
        image: int [n], index of the image of each.
        sizes: Of each image.
        where: For errors.

    Raises:
        UserError: One has no outline, or one that is not of its image.
    """
    return [
        _run_lengths(entry.get("segmentation"), sizes[number], f"{where}[{place}]")
        for place, (entry, number) in enumerate(zip(entries, image, strict=True))
    ]


def _run_lengths(value: typing.Any, size: tuple[int, int] | None, where: str) -> Rle:
    if size is None or max(size) > MAX_SIDE:
        raise UserError(
            "the size of the image is not known",
            expected=f'"width" and "height" in the truth, from 1 to {MAX_SIDE:,}',
            where=printable(where),
        )
    width, height = size
    found, error = outline(value)
    if found is None:
        _fail(error or "none", where)
    if isinstance(found, dict):
        if found["size"] != [height, width]:
            _fail(
                f"run lengths of {found['size'][0]} x {found['size'][1]} in an image of {height} x {width}",
                where,
            )
        return hotcoco.mask.frPyObjects(found, height, width) if isinstance(found["counts"], list) else found
    points = np.concatenate([np.asarray(polygon).reshape(-1, 2) for polygon in found])
    if (np.abs(points) > 2 * max(size)).any():  # an outline is walked point by point
        _fail("a polygon that is far outside of its image", where)
    return hotcoco.mask.merge(hotcoco.mask.frPyObjects(found, height, width))


def _fail(received: str, where: str) -> typing.NoReturn:
    raise UserError(
        "this is no outline",
        expected="segmentation, as polygons or run lengths that cover the image",
        received=received,
        where=printable(where),
    )


def areas(outlines: list[Rle]) -> np.ndarray:
    """Returns float64 [n]: the pixels of each outline."""
    return np.array([hotcoco.mask.area(one) for one in outlines], np.float64)


def bounds(outlines: list[Rle]) -> np.ndarray:
    """Returns float64 [n, 4]: left, top, right, bottom of each outline."""
    if not outlines:
        return np.zeros((0, 4))
    box = np.asarray(hotcoco.mask.to_bbox(outlines), np.float64).reshape(-1, 4)
    box[:, 2:] += box[:, :2]
    return box
