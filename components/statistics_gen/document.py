"""The statistics document (see `conveyor.components.artifacts.Statistics`) from a summary."""

import typing

from conveyor.components.statistics_gen.sketch import deviation
from conveyor.components.statistics_gen.summary import CLASS_NUMBERS, GRID, NUMBERS, Summary

Document = dict[str, typing.Any]


def to_document(summary: Summary, properties: dict[str, typing.Any], quantiles: int) -> Document:
    """Returns the part of the document about one split.

    Args:
        summary: Of all its examples.
        properties: Of the Examples artifact: `annotations`, `classes`, and with masks `mask_classes`.
        quantiles: Number of equal shares that quantiles cut values into.
    """
    examples = summary.counts["examples",]
    if not examples:
        return {"examples": 0}
    annotations, classes = properties["annotations"], properties["classes"]
    pixels = summary.counts["pixels",]
    sums, squares = (list(summary.named(name).values()) for name in ("pixel_sum", "pixel_square_sum"))
    document: Document = {
        "examples": examples,
        **{name: summary.sketch(name).describe(quantiles) for name in NUMBERS},
        "formats": summary.named("format"),
        "modes": summary.named("mode"),
        "channel_mean": [total / pixels for total in sums],
        "channel_std": [deviation(pixels, *pair) for pair in zip(sums, squares, strict=True)],
    }
    if "label" in annotations:
        document["classes"] = _by_class(summary, "label", classes)
        document["per_class"] = {
            name: {
                "examples": summary.counts["label", label],
                **{key: summary.sketch("class", label, key).describe(quantiles) for key in CLASS_NUMBERS},
            }
            for label, name in enumerate(classes)
            if summary.counts["label", label]
        }
    if "objects" in annotations:
        document["objects"] = _objects(summary, classes, quantiles)
    if "mask" in annotations:
        document["mask"] = _mask(summary, properties["mask_classes"])
    return document


def _by_class(summary: Summary, kind: str, classes: list[str]) -> dict[str, int]:
    return {name: summary.counts[kind, label] for label, name in enumerate(classes)}


def _objects(summary: Summary, classes: list[str], quantiles: int) -> Document:
    cells = [summary.counts["position", cell] for cell in range(GRID * GRID)]
    return {
        **{key: summary.counts["objects", key] for key in ("count", "crowd", "difficult", "empty_images")},
        "classes": _by_class(summary, "object_label", classes),
        **{
            key: summary.sketch("objects", key).describe(quantiles)
            for key in ("per_image", "size", "relative_size", "aspect")
        },
        "position": [cells[start : start + GRID] for start in range(0, len(cells), GRID)],
        "per_class": {
            name: {
                "count": summary.counts["object_label", label],
                "images": summary.counts["object_images", label],
                **{
                    key: summary.sketch("object_class", label, key).describe(quantiles)
                    for key in ("size", "aspect")
                },
            }
            for label, name in enumerate(classes)
            if summary.counts["object_label", label]
        },
    }


def _mask(summary: Summary, classes: list[str]) -> Document:
    pixels = _by_class(summary, "mask_pixels", classes)
    known, void = sum(pixels.values()), summary.counts["void",]
    return {
        "shares": {name: count / max(known, 1) for name, count in pixels.items()},
        "images": _by_class(summary, "mask_images", classes),
        "void": void / max(known + void, 1),
    }
