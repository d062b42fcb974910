"""What every reader yields: an image as its source gives it, with whatever is known of it."""

import dataclasses
import math
import typing

# Why an image, an annotation or a box is set aside. Readers find some, ingestion finds others.
REASONS = {
    "unreadable": "cannot be opened or decoded",
    "truncated": "ends before its pixels do",
    "empty": "has no content",
    "wrong_extension": "is not of the format its name says",
    "unsupported_mode": "has pixels of a kind there is no rule for",
    "animated": "has several frames",
    "too_large": "has more pixels than data.max_pixels",
    "mask_size": "mask and image differ in size",
    "mask_index": "mask holds an index or colour that is no class",
    "box_degenerate": "box has no area, or numbers that are none",
    "box_outside": "box lies outside its image, in part (clipped) or wholly (dropped)",
    "box_duplicate": "box covers another of the same class (IoU above 0.95)",
    "box_overlap": "box nearly covers another of the same class (IoU 0.85 to 0.95): perhaps drawn twice",
    "unknown_class": "class is not among the known ones",
    "missing_image": "annotation without its image",
    "missing_annotation": "image without its annotation",
    "duplicate_file": "listed twice",
    "unsafe_path": "absolute path, or one that leaves the source's folder",
    "malformed": "annotation that cannot be parsed",
    "image_size": "annotation says another size than the image has",
}


WHOLE = (0.0, 0.0, math.inf, math.inf)  # the box of what is in an image, nobody says where


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with a part of an example, whose image is kept.

    Args:
        reason: A key of `REASONS`.
        detail: What exactly.
        field: Which part, such as "objects[3]".
        action: What is done about it: the part is "dropped" or "clipped", or "kept" as it is.
        box: The box in question, in pixels of the upright image; None where it is about none.
    """

    reason: str
    detail: str
    field: str = ""
    action: str = "dropped"
    box: tuple[float, float, float, float] | None = None


@dataclasses.dataclass(frozen=True)
class RawObject:
    """One object in an image.

    Args:
        label: Name of its class.
        box: x1, y1, x2, y2 in pixels, as the source gives it: unchecked; or `WHOLE`.
        crowd: Whether it stands for many.
        segmentation: Polygons (lists of x, y, x, y, … in pixels) or a COCO RLE dict; None for none.
        difficult: Whether the source says that it need not be found.
        field: Where it is in the source, such as "annotations[17]"; "" for its place among the objects.
    """

    label: str
    box: tuple[float, float, float, float]
    crowd: bool = False
    segmentation: typing.Any = None
    difficult: bool = False
    field: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass(frozen=True)
class RawExample:
    """One image as its source gives it.

    Args:
        key: Its name in the source, such as a relative path; unique.
        label: Name of its class; "" where the source has no class per image.
        split: The split it is in at the source; "" where the source has none.
        data: Its encoded bytes; None where it cannot be used.
        error: Why it cannot be used.
        reason: A key of `REASONS`, where `data` is None.
        objects: Its objects; None where the source has no objects.
        mask: A PNG of class indices, as large as the image; None where the source has no masks.
        size: Width and height that the annotation says the image has; None where it says nothing. Boxes
            and masks are in this frame, which for a photo with EXIF orientation may lie on its side.
        group: What it shares with others that must be in the same split; "" for nothing.
        faults: What is wrong with its annotations.
    """

    key: str
    label: str
    split: str
    data: bytes | None
    error: str = ""
    reason: str = "unreadable"
    objects: tuple[RawObject, ...] | None = None
    mask: bytes | None = None
    size: tuple[int, int] | None = None
    group: str = ""
    faults: tuple[Fault, ...] = ()
