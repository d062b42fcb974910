"""The frame that annotations are in, against that of the upright image; and outlines as run lengths.

Tools differ in whether they show a photo as its EXIF orientation says. Only the size an annotation
states can tell: where it is that of the file's pixels and not that of the upright image, the
annotation lies on its side and is turned like the pixels. Where both sizes are the same (a square, or a
picture on its head), annotations are taken to be upright, as browsers show pictures.
"""

import dataclasses
import io
import itertools
import typing

import hotcoco.mask
import numpy as np
import PIL.Image

from conveyor.components.example_gen.images import UPRIGHT, Measured
from conveyor.components.example_gen.readers.raw import RawObject

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def is_sideways(stated: tuple[int, int] | None, image: Measured) -> bool:
    """Whether annotations for an image of a stated width and height lie on their side.

    Raises:
        ValueError: They are for an image of quite another size.
    """
    upright = image.width, image.height
    if stated is None or stated == upright:
        return False
    if image.orientation in _SIDEWAYS and stated == upright[::-1]:
        return True
    raise ValueError(f"annotated as {stated[0]}x{stated[1]}, the image has {upright[0]}x{upright[1]}")


def turn_object(found: RawObject, image: Measured) -> RawObject:
    """Returns an object in the frame of the upright image, from one in that of the file's pixels."""
    x1, y1, x2, y2 = found.box
    if not (x1 < x2 and y1 < y2):
        return found  # whatever is wrong with it must stay so
    xs, ys = zip(turn_point(x1, y1, image), turn_point(x2, y2, image), strict=True)
    outline = found.segmentation
    if isinstance(outline, dict) and list(outline["size"]) == [image.width, image.height]:
        turned = PIL.Image.fromarray(decode_rle(outline)).transpose(UPRIGHT[image.orientation])
        outline = encode_rle(np.asarray(turned))
    elif isinstance(outline, list):
        outline = [_turn_polygon(polygon, image) for polygon in outline]
    return dataclasses.replace(found, box=(min(xs), min(ys), max(xs), max(ys)), segmentation=outline)


def turn_point(x: float, y: float, image: Measured) -> tuple[float, float]:
    """Returns where a point of the file's pixels is in the upright image (orientations 5 to 8)."""
    far_x, far_y = image.width - y, image.height - x
    return {5: (y, x), 6: (far_x, x), 7: (far_x, far_y), 8: (y, far_y)}[image.orientation]


def _turn_polygon(polygon: list[float], image: Measured) -> list[float]:
    points = zip(polygon[::2], polygon[1::2], strict=True)
    return [side for x, y in points for side in turn_point(x, y, image)]


def turn_mask(mask: bytes, image: Measured) -> bytes:
    """Returns a PNG turned as the file's pixels were."""
    file = io.BytesIO()
    with PIL.Image.open(io.BytesIO(mask), formats=["PNG"]) as picture:
        picture.transpose(UPRIGHT[image.orientation]).save(file, "PNG")
    return file.getvalue()


def run_lengths(outline: typing.Any, width: int, height: int) -> dict[str, typing.Any]:
    """Returns an outline as COCO's compressed run lengths, {`size`: [height, width], `counts`: bytes}.

    Args:
        outline: Polygons (lists of x, y, x, y, … in pixels), or run lengths, compressed or not.
        width: Of the image.
        height: Of the image.

    Raises:
        ValueError: The run lengths are for another size.
    """
    if isinstance(outline, dict):
        if list(outline["size"]) != [height, width]:
            stated = "x".join(str(side) for side in reversed(outline["size"]))
            raise ValueError(f"run lengths for {stated}, the image has {width}x{height}")
        if isinstance(outline["counts"], list):
            return hotcoco.mask.fr_py_objects(outline, height, width)
        counts = outline["counts"]
        return {**outline, "counts": counts.encode() if isinstance(counts, str) else counts}
    near = [_near(polygon, width, height) for polygon in outline]
    return hotcoco.mask.merge(hotcoco.mask.fr_py_objects(near, height, width))


def _near(polygon: list[float], width: int, height: int) -> list[float]:
    """Pulls points that are far outside nearer: they cost time and memory, and show nothing."""
    limits = itertools.cycle((width, height))
    return [min(max(side, -2.0 * limit), 3.0 * limit) for side, limit in zip(polygon, limits, strict=False)]


def area(rle: dict[str, typing.Any]) -> float:
    """Returns the pixels inside of run lengths."""
    return float(np.ravel(hotcoco.mask.area(rle))[0])


def encode_rle(mask: np.ndarray) -> dict[str, typing.Any]:
    """Returns the run lengths of a mask of 0 and 1, uint8 [height, width]."""
    return hotcoco.mask.encode(np.asfortranarray(mask))


def decode_rle(rle: dict[str, typing.Any]) -> np.ndarray:
    """Returns the mask of run lengths, compressed or not: uint8 [height, width]."""
    height, width = rle["size"]
    return np.asarray(hotcoco.mask.decode(run_lengths(rle, width, height)))
