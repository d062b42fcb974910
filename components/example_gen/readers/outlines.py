"""Outlines of objects in COCO's forms: polygons and run lengths, checked as decoders do not."""

import math
import typing

from conveyor.components.example_gen.readers.values import number


def outline(value: typing.Any) -> tuple[typing.Any, str]:
    """Returns polygons or a run-length encoding, or None and what is wrong with it ("" where it is absent).

    Args:
        value: A `segmentation` of a JSON file, unchecked.
    """
    if value is None or value in ([], {}):
        return None, ""
    if isinstance(value, dict):
        right = _is_rle(value)
        return ({key: value[key] for key in ("size", "counts")}, "") if right else (None, "no run lengths")
    polygons = [_polygon(points) for points in value] if isinstance(value, list) else [None]
    return (None, "no polygons") if None in polygons else (polygons, "")


def _polygon(points: typing.Any) -> list[float] | None:
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        return None
    numbers = [number(point) for point in points]
    finite = all(n is not None and math.isfinite(n) for n in numbers)
    return typing.cast(list[float], numbers) if finite else None


def _is_rle(value: dict[str, typing.Any]) -> bool:
    """Whether a run-length encoding covers just the pixels of its size; decoders trust that blindly."""
    size, counts = value.get("size"), value.get("counts")
    if not isinstance(size, list) or [type(side) for side in size] != [int, int] or min(size) < 1:
        return False
    runs = _runs(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        return False
    return sum(runs) == size[0] * size[1]


def _runs(text: str) -> list[int] | None:
    """Returns the runs of a compressed encoding; None where it is none.

    Source: `rleFrString` in cocoapi's common/maskApi.c: 5 bits a character, low ones first, then whether
    there are more; from the fourth run on, a run is the difference to the one before the last.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs if shift == 0 else None
