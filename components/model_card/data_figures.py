"""Figures of the statistics: classes, images, objects, masks."""

import typing
from collections.abc import Sequence

from conveyor.components.model_card.figures import Figure, chart
from conveyor.components.model_card.measures import CLASSES, IMAGES, OBJECT_CLASSES, OBJECTS, Measure

_FEW, _MANY = 150, 300  # of more classes than many, the few most frequent and the few rarest are drawn

Values = dict[str, typing.Any]


def statistics_figures(statistics: dict[str, Values], classes: Sequence[str]) -> list[Figure]:
    """Returns the figures that there are statistics for.

    Args:
        statistics: Split -> statistics, as in a Statistics artifact; in the order to show them.
        classes: Names in label order.
    """
    objects = {split: values["objects"] for split, values in statistics.items() if values.get("objects")}
    masks = {split: values["mask"] for split, values in statistics.items() if values.get("mask")}
    return [
        *_counts(
            _of(statistics, "classes"),
            classes,
            "Classes",
            "examples",
            "Examples of each class in each split. Every split has a scale of its own: compare shapes.",
        ),
        *_by_split(statistics, IMAGES),
        *_by_class(statistics, classes, CLASSES, "examples"),
        *_object_figures(objects, classes),
        *_mask_figures(masks, classes),
    ]


def _object_figures(objects: dict[str, Values], classes: Sequence[str]) -> list[Figure]:
    caption = "Objects of each class in each split. Every split has a scale of its own: compare shapes."
    return [
        *_counts(_of(objects, "classes"), classes, "Objects of each class", "objects", caption),
        *_by_split(objects, OBJECTS),
        *_by_class(objects, classes, OBJECT_CLASSES, "count"),
        *_positions(_of(objects, "position")),
    ]


def _mask_figures(masks: dict[str, Values], classes: Sequence[str]) -> list[Figure]:
    shares = (
        "Of all pixels that are not void, those of each class. A model that always answers the largest"
        " class is right on that share of the pixels, so judge by mean IoU."
    )
    images = "Images in which the class has a pixel at all. What few images have is known from few."
    return [
        *_counts(_of(masks, "shares"), classes, "Pixels of each class", "share of the pixels", shares),
        *_counts(_of(masks, "images"), classes, "Images that show each class", "images", images),
    ]


def _of(values: dict[str, Values], key: str) -> dict[str, typing.Any]:
    """Returns split -> what it has under the key, of those that have something."""
    return {split: found[key] for split, found in values.items() if found.get(key)}


def _counts(
    groups: dict[str, dict[str, float]], classes: Sequence[str], title: str, unit: str, caption: str
) -> list[Figure]:
    listed = dict.fromkeys([*classes, *(name for counted in groups.values() for name in counted)])
    totals = {name: sum(counted.get(name, 0) for counted in groups.values()) for name in listed}
    if not any(totals.values()):
        return []
    names, note = _shown(totals)
    plot = {"kind": "counts", "title": title, "caption": caption + note, "x": unit, "y": "class"}
    shown = {split: {name: counted.get(name, 0) for name in names} for split, counted in groups.items()}
    return [chart({**plot, "shares": unit.startswith("share"), "groups": shown})]


def _by_split(statistics: dict[str, Values], measures: Sequence[Measure]) -> list[Figure]:
    groups = {measure: _of(statistics, measure.key) for measure in measures}
    return [
        chart(_ranges(measure, measure.title, found, "split"))
        for measure, found in groups.items()
        if _varies(found)
    ]


def _by_class(
    statistics: dict[str, Values], classes: Sequence[str], measures: Sequence[Measure], count: str
) -> list[Figure]:
    """Draws the classes of the first split that has statistics of each; `count` is the key to rank by."""
    found = _of(statistics, "per_class")
    split = next(iter(found), "")
    per_class: dict[str, Values] = found.get(split, {})
    order = [name for name in (*classes, *sorted(per_class.keys() - set(classes))) if name in per_class]
    names, note = _shown({name: per_class[name][count] for name in order})
    figures = []
    for measure in measures:
        groups = _of({name: per_class[name] for name in names}, measure.key)
        if _varies(groups):
            plot = _ranges(measure, f"{measure.title} ({split})", groups, "class")
            figures.append(chart({**plot, "caption": plot["caption"] + note}))
    return figures


def _ranges(measure: Measure, title: str, groups: dict[str, Values], rows: str) -> Values:
    axes = {"x": measure.unit, "y": rows}
    return {"kind": "ranges", "title": title, "caption": measure.advice, **axes, "groups": groups}


def _varies(groups: dict[str, Values]) -> bool:
    """Whether there is something to see: values that are not all the same."""
    return len({value for found in groups.values() for value in (found["min"], found["max"])}) > 1


def _positions(groups: dict[str, list[list[int]]]) -> list[Figure]:
    caption = (
        "Where in its image the centre of each object lies. A spot in the middle, and nothing at the sides,"
        " makes a model that expects objects there: shift and crop in training."
    )
    groups = {split: counts for split, counts in groups.items() if any(map(any, counts))}
    axes = {"x": "left to right", "y": "bottom to top"}
    plot = {"kind": "heatmap", "title": "Where objects are", "caption": caption, **axes, "groups": groups}
    return [chart(plot)] if groups else []


def _shown(totals: dict[str, float]) -> tuple[list[str], str]:
    """Returns the classes to draw, in the order given, and what the caption must say of the others."""
    if len(totals) <= _MANY:
        return list(totals), ""
    ranked = sorted(totals, key=lambda name: -totals[name])
    kept = {*ranked[:_FEW], *ranked[-_FEW:]}
    note = f" Of {len(totals):,} classes, the {_FEW} most frequent and the {_FEW} rarest are drawn."
    return [name for name in totals if name in kept], note
