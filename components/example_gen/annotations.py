"""Checks of boxes and masks against their image: what is dropped or clipped, and why."""

import bisect
import collections
import dataclasses
import io
import math
from collections.abc import Collection, Sequence

import numpy as np
import PIL.Image

from conveyor.components.example_gen.containers import is_plain_png
from conveyor.components.example_gen.images import message_of
from conveyor.components.example_gen.readers.raw import Fault, RawObject
from conveyor.components.example_gen.settings import PolicySettings
from conveyor.models.void import VOID

Box = tuple[float, float, float, float]
_SAME = 0.95  # IoU above which two boxes of a class are one
_ALIKE = 0.85  # IoU above which they may be
_THINNEST = 0.01  # pixels; as a share of a long side, float32 does not tell the sides of a thinner box apart


class MaskError(ValueError):
    """A mask that cannot be used.

    Args:
        reason: mask_size, mask_index, unsupported_mode or unreadable.
        detail: What exactly is wrong with it.
    """

    def __init__(self, reason: str, detail: str):
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


def check_objects(
    objects: Sequence[RawObject], classes: Collection[str], width: int, height: int, policy: PolicySettings
) -> tuple[list[RawObject], list[Fault]]:
    """Returns the objects that can be used, and what was wrong with the others.

    Dropped are boxes without area (thinner than 0.01 pixels), wholly outside the image, or of an unknown
    class; what happens to boxes that reach beyond the image or cover another of their class is policy.
    Crowds may overlap.

    Args:
        objects: As the source gives them.
        classes: Known class names.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        policy: What to do about faults that can be lived with.
    """
    kept: list[RawObject] = []
    faults: list[Fault] = []
    seen = _Seen()
    for index, found in enumerate(objects):
        field = found.field or f"objects[{index}]"
        if problem := _problem(found, classes, width, height):
            faults.append(dataclasses.replace(problem, field=field, box=found.box))
            continue
        clipped = _clip(found.box, width, height)
        if clipped != found.box:
            action = "clipped" if policy.box_outside == "clip" else "dropped"
            detail = f"box {_show(found.box)} of {found.label!r} in an image of {width}x{height}"
            faults.append(Fault("box_outside", detail, field, action, found.box))
            if action == "dropped":
                continue
        usable = dataclasses.replace(found, box=clipped)
        overlap = 0.0 if found.crowd else seen.overlap(usable)
        if overlap > _ALIKE:
            same = overlap > _SAME
            action = "dropped" if same and policy.box_duplicate == "drop" else "kept"
            detail = f"box {_show(clipped)} of {found.label!r}, another is there with an IoU of {overlap:.3f}"
            reason = "box_duplicate" if same else "box_overlap"
            faults.append(Fault(reason, detail, field, action, clipped))
            if action == "dropped":
                continue
        if not found.crowd:
            seen.add(usable)
        kept.append(usable)
    return kept, faults


class _Seen:
    """The boxes of an image, so kept that those like another are found without comparing all."""

    def __init__(self) -> None:
        self._by_class: dict[str, list[Box]] = collections.defaultdict(list)  # each sorted, by x1 first

    def add(self, found: RawObject) -> None:
        bisect.insort(self._by_class[found.label], found.box)

    def overlap(self, found: RawObject) -> float:
        """Returns the largest IoU with a box of the same class, if it is above `_ALIKE`; else 0."""
        x1, _, x2, _ = found.box
        # an IoU above that leaves less than this share of the width between the left sides
        reach = (x2 - x1) * (1 / _ALIKE - 1)
        boxes = self._by_class[found.label]
        start = bisect.bisect_left(boxes, (x1 - reach,))
        stop = bisect.bisect_right(boxes, (x1 + reach, math.inf))
        largest = max((_iou(found.box, other) for other in boxes[start:stop]), default=0.0)
        return largest if largest > _ALIKE else 0.0


def _problem(found: RawObject, classes: Collection[str], width: int, height: int) -> Fault | None:
    x1, y1, x2, y2 = found.box
    if found.label not in classes:
        return Fault("unknown_class", f"class {found.label!r}")
    if not (all(map(math.isfinite, found.box)) and min(x2 - x1, y2 - y1) >= _THINNEST):
        return Fault("box_degenerate", f"box {_show(found.box)} of {found.label!r}")
    if min(width - x1, height - y1, x2, y2) < _THINNEST:
        return Fault(
            "box_outside", f"box {_show(found.box)} of {found.label!r} in an image of {width}x{height}"
        )
    return None


def _clip(box: Box, width: int, height: int) -> Box:
    x1, y1, x2, y2 = box
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))


def _show(box: Box) -> str:
    return "(" + ", ".join(f"{side:g}" for side in box) + ")"


def _iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def check_mask(mask: bytes, classes: int, width: int, height: int) -> list[int]:
    """Checks a mask of class indices; returns the number of pixels of each class, then of void.

    Args:
        mask: An 8-bit grey PNG of indices, as what decoders make of a palette differs; 255 is void.
        classes: Number of classes.
        width: Of the image, in pixels.
        height: Of the image, in pixels.

    Raises:
        MaskError: It cannot be read, is of another size or kind, or holds an index that is no class.
    """
    try:
        with PIL.Image.open(io.BytesIO(mask), formats=["PNG"]) as image:
            size, mode = image.size, image.mode
            if size == (width, height):
                pixels = np.asarray(image)
                plain = is_plain_png(mask, size)
    except Exception as error:  # decoders raise of many kinds on hostile bytes
        raise MaskError("unreadable", f"mask: {message_of(error)}") from None
    if size != (width, height):
        raise MaskError("mask_size", f"mask of {size[0]}x{size[1]}, image of {width}x{height}")
    if mode != "L" or not plain:
        raise MaskError("unsupported_mode", f"mask of mode {mode}; a plain PNG of 8-bit grey is needed")
    counts = np.bincount(pixels.ravel(), minlength=256)
    wrong = [int(index) for index in np.flatnonzero(counts[classes:VOID]) + classes]
    if wrong:
        raise MaskError("mask_index", f"index {wrong[:5]} of {classes} classes")
    return [*counts[:classes].tolist(), int(counts[VOID])]
