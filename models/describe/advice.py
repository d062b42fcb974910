"""What a layer table says about a model and its data, in words and numbers; imports nothing heavy."""

import math
import typing

Row = dict[str, typing.Any]
Objects = dict[str, float]

_MOST = 0.5  # share of the parameters that is worth a word
_WORTH = 10_000  # parameters
_FAR = 4  # times the image's side


def columns(rows: list[Row]) -> list[str]:
    """Returns the columns of a layer table in which there is something to read: not only 1 or nothing."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if any(row.get(name) not in (None, 1) for row in rows)]


def totals(rows: list[Row]) -> dict[str, typing.Any]:
    """Returns sums over a layer table.

    Args:
        rows: What `conveyor.models.layer_table.layer_table` returns.

    Returns:
        `parameters`, `flops` (per image), `uncounted` (layers whose FLOPs are not known), `shared`
        (parameters of convolutions), and `dense` (what dense layers in their place would need).
    """
    sharing = [row for row in rows if row["dense_parameters"] is not None]
    return {
        "parameters": sum(row["parameters"] for row in rows),
        "flops": sum(row["flops"] or 0 for row in rows),
        "uncounted": [row["layer"] for row in rows if row["flops"] is None],
        "shared": sum(row["parameters"] for row in sharing),
        "dense": sum(row["dense_parameters"] for row in sharing),
    }


def object_sizes(statistics: dict[str, typing.Any], height: int, width: int) -> Objects | None:
    """Returns how large objects are in the model's input, in pixels: square roots of areas.

    Args:
        statistics: Of one split, as in a Statistics artifact.
        height: Of the model input.
        width: Of the model input.

    Returns:
        `median`, and `small` and `large`, below and above which there is a tenth of them. None for
        data without objects.
    """
    objects = statistics.get("objects") or {}
    cuts = (objects.get("relative_size") or {}).get("quantiles")
    if not cuts:
        return None
    tenth, half = (len(cuts) - 1) // 10, (len(cuts) - 1) // 2
    chosen = {"small": cuts[tenth], "median": cuts[half], "large": cuts[-1 - tenth]}
    return {name: value * math.sqrt(height * width) for name, value in chosen.items()}


def image_side(rows: list[Row]) -> int | None:
    """Returns the shorter side of the model input, in pixels; None where it has none."""
    sides = rows[0]["output"].split("x")[:-1] if rows else []
    return min(map(int, sides)) if sides and "?" not in sides else None


def advise(rows: list[Row], objects: Objects | None = None, several: bool = False) -> list[str]:
    """Returns sentences on what does not fit.

    Args:
        rows: What `conveyor.models.layer_table.layer_table` returns.
        objects: What `object_sizes` returns; without it the image is what is to be seen.
        several: Whether several maps share the work, each for objects of a size: then what the last one
            sees says little (see `conveyor.models.describe.anchors`).
    """
    image, last = image_side(rows), _last_map(rows)
    if image is None or last is None:
        return []
    seen = [
        _too_small(rows, last, image, objects),
        _too_coarse(rows, last, objects),
        _too_large(rows, last, image),
    ]
    found = [
        *([] if several else seen),
        *_starved(rows),
        _flattened(rows),
    ]
    return [sentence for sentence in found if sentence]


def _last_map(rows: list[Row]) -> Row | None:
    """Returns the deepest feature map: the last one whose places are furthest apart."""
    maps = [row for row in rows if row["jump"] is not None and row["receptive_field"] is not None]
    deepest = max((_least(row["jump"]) for row in maps), default=None)
    chosen = next((row for row in reversed(maps) if _least(row["jump"]) == deepest), None)
    return chosen if any(_is_window(row) for row in maps) else None


def _too_small(rows: list[Row], last: Row, image: int, objects: Objects | None) -> str:
    side, what = _target(image, objects)
    field, step = _least(last["receptive_field"]), _least(last["jump"])
    name, kernel = last["layer"], _last_kernel(rows)
    if field >= side:
        return _faint(rows, side, what)
    stages, seen = 0, field
    while seen < side and stages < 20:
        stages, seen, step = stages + 1, seen + kernel * step, step * 2
    more = "One more stage" if stages == 1 else f"{stages} more stages"
    return (
        f"A feature of the last map ({name}) sees {field:g} px; {what} {side:.0f} px, so none sees it whole."
        f" {more} of a {kernel}-wide convolution and stride 2 would see {seen:g} px."
    )


def _target(image: int, objects: Objects | None) -> tuple[float, str]:
    if objects is None:
        return image, "the image is"
    return min(objects["median"], image), "the median object is"


def _faint(rows: list[Row], side: float, what: str) -> str:
    measured = [row for row in rows if row["effective_field"] is not None and row["jump"] is not None]
    row = max(reversed(measured), key=lambda one: _least(one["jump"]), default=None)
    if row is None or _least(row["effective_field"]) >= side / 2:
        return ""
    return (
        f"A feature of {row['layer']} can see {_least(row['receptive_field']):g} px, but with these"
        f" weights 95% of what it depends on lies in {_least(row['effective_field']):g} px;"
        f" {what} {side:.0f} px."
    )


def _too_coarse(rows: list[Row], last: Row, objects: Objects | None) -> str:
    if objects is None or objects["small"] >= _least(last["jump"]):
        return ""
    maps = [row for row in rows if row["jump"] is not None and _least(row["jump"]) <= objects["small"]]
    return (
        f"The places of the last map ({last['layer']}) are {_least(last['jump']):g} px apart, and one object"
        f" in ten is smaller than {objects['small']:.0f} px. The last map that tells such objects apart is"
        f" {maps[-1]['layer'] if maps else 'the image'}; or enlarge the images (transform.size)."
    )


def _too_large(rows: list[Row], last: Row, image: int) -> str:
    field = _least(last["receptive_field"])
    if field <= _FAR * image:
        return ""
    enough = next(row for row in rows if _least(row["receptive_field"] or 0) >= image)
    return (
        f"A feature of the last map ({last['layer']}) sees {field:g} px, {field / image:.0f} times the side"
        f" of the image ({image} px): most of it is padding. {enough['layer']} already sees the whole image."
    )


def _starved(rows: list[Row]) -> list[str]:
    """Returns a sentence on the first window that is wider than its map can fill."""
    for row in rows:
        sides = [side for side in row["output"].split("x")[:-1] if side != "?"]
        if row["padding"] != "same" or row["dense_parameters"] is None or row["stride"] != 1 or not sides:
            continue
        kernel = row["kernel"] if isinstance(row["kernel"], list) else [row["kernel"]] * len(sides)
        used = [min(k, 2 * int(side) - 1) for k, side in zip(kernel, sides, strict=True)]
        if row["dilation"] == 1 and used != kernel:
            wide, size = "x".join(map(str, kernel)), "x".join(sides)
            lost = math.prod(kernel) - math.prod(used)
            return [
                f"{row['layer']} slides a {wide} kernel over a map of {size}: {lost} of its"
                f" {math.prod(kernel)} places only ever meet padding. Reduce the image less before it."
            ]
    return []


def _flattened(rows: list[Row]) -> str:
    total = sum(row["parameters"] for row in rows)
    heavy = max(rows, key=lambda row: row["parameters"])
    before = rows[: rows.index(heavy)]
    flat = next((row for row in reversed(before) if row["type"] == "Flatten"), None)
    share = heavy["parameters"] / max(total, 1)
    if flat is None or heavy["type"] != "Dense" or share < _MOST or heavy["parameters"] < _WORTH:
        return ""
    shapes = [[int(side) for side in row["output"].split("x")] for row in before if "?" not in row["output"]]
    maps = [shape for shape in shapes if len(shape) > 1 and math.prod(shape) == int(flat["output"])]
    if not maps:
        return ""
    return (
        f"{heavy['layer']} holds {heavy['parameters']:,} of {total:,} parameters ({share:.0%}), because"
        f" {flat['layer']} hands it {int(flat['output']):,} features; global average pooling would hand it"
        f" {maps[-1][-1]}."
    )


def _last_kernel(rows: list[Row]) -> int:
    """Returns the width of the last convolution that is wider than a pixel; 3 where there is none."""
    wide = [_least(row["kernel"]) for row in rows if row["dense_parameters"] is not None]
    return next((int(kernel) for kernel in reversed(wide) if kernel > 1), 3)


def _is_window(row: Row) -> bool:
    return row["kernel"] is not None


def _least(value: typing.Any) -> float:
    """Returns a number, or the least of one a side."""
    return min(value) if isinstance(value, list) else value
