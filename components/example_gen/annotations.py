"""Checks of boxes and masks against their image: what is dropped or clipped, and why."""

import dataclasses
import io
import math

import numpy as np
import PIL.Image

from conveyor.components.example_gen.readers.raw import Fault, RawObject

VOID = 255  # mask value of pixels that belong to no class
_SAME = 0.95  # IoU from which two boxes of a class are one


class MaskError(ValueError):
    """A mask that cannot be used.

    Args:
        reason: mask_size, mask_index or unreadable.
        detail: What exactly is wrong with it.
    """

    def __init__(self, reason: str, detail: str):
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


def check_objects(
    objects: tuple[RawObject, ...], classes: dict[str, int], width: int, height: int
) -> tuple[list[RawObject], list[Fault]]:
    """Returns the objects that can be used, and what was wrong with the others.

    Boxes that reach beyond the image are clipped; boxes without area, outside the image, of an
    unknown class, or covering another of their class (IoU above 0.95) are dropped.

    Args:
        objects: As the source gives them.
        classes: Known class names.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
    """
    kept: list[RawObject] = []
    faults: list[Fault] = []
    for index, found in enumerate(objects):
        field = f"objects[{index}]"
        problem = _problem(found, classes, width, height)
        if problem:
            faults.append(dataclasses.replace(problem, field=field))
            continue
        clipped = _clip(found.box, width, height)
        if clipped != found.box:
            detail = f"box {_show(found.box)} clipped to the image of {width}x{height}"
            faults.append(Fault("box_outside", detail, field))
        usable = dataclasses.replace(found, box=clipped)
        if not found.crowd and any(_is_copy(usable, other) for other in kept):
            faults.append(Fault("box_duplicate", f"box {_show(clipped)} of {found.label!r}, dropped", field))
            continue
        kept.append(usable)
    return kept, faults


def _problem(found: RawObject, classes: dict[str, int], width: int, height: int) -> Fault | None:
    x1, y1, x2, y2 = found.box
    if found.label not in classes:
        return Fault("unknown_class", f"class {found.label!r}, dropped")
    if not all(math.isfinite(side) for side in found.box) or x2 <= x1 or y2 <= y1:
        return Fault("box_degenerate", f"box {_show(found.box)}, dropped")
    if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
        return Fault("box_outside", f"box {_show(found.box)} of an image of {width}x{height}, dropped")
    return None


def _clip(
    box: tuple[float, float, float, float], width: int, height: int
) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))


def _show(box: tuple[float, float, float, float]) -> str:
    return "(" + ", ".join(f"{side:g}" for side in box) + ")"


def _is_copy(one: RawObject, other: RawObject) -> bool:
    return one.label == other.label and not other.crowd and _iou(one.box, other.box) > _SAME


def _iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def check_mask(mask: bytes, classes: int, width: int, height: int) -> list[int]:
    """Checks a mask of class indices; returns the number of pixels of each class.

    Args:
        mask: An 8-bit PNG of indices; 255 is void.
        classes: Number of classes.
        width: Of the image, in pixels.
        height: Of the image, in pixels.

    Raises:
        MaskError: It cannot be read, is of another size, or holds an index that is no class.
    """
    try:
        with PIL.Image.open(io.BytesIO(mask), formats=["PNG"]) as image:
            size = image.size
            if size == (width, height):
                pixels = np.asarray(image)
    except Exception as error:  # decoders raise of many kinds on hostile bytes
        raise MaskError("unreadable", f"mask: {error}") from None
    if size != (width, height):
        raise MaskError("mask_size", f"mask of {size[0]}x{size[1]}, image of {width}x{height}")
    counts = np.bincount(pixels.ravel(), minlength=256)
    wrong = [int(index) for index in np.flatnonzero(counts[classes:VOID]) + classes]
    if wrong:
        raise MaskError("mask_index", f"index {wrong[:5]} of {classes} classes")
    return counts[:classes].tolist()
