"""What the card says of the model: its layers, what they see, and how it was trained."""

import json
import math
import pathlib
import typing
from collections.abc import Iterable

from conveyor.components.model_card.fields import fields_plot
from conveyor.components.model_card.figures import Figure, chart, draw
from conveyor.components.model_card.pictures import Album
from conveyor.components.model_card.results import Results
from conveyor.models.describe.advice import advise, columns, object_sizes, totals


def model_section(results: Results, gallery: int) -> dict[str, typing.Any] | None:
    """Returns facts on the model, its layer table with advice, what it sees, and its training curves.

    Args:
        results: What the run produced.
        gallery: Pictures in a gallery, at the most.
    """
    if results.model is None:
        return None
    layers = _read(results.model.layers_file, [])
    history = _read(results.model.history_file, {})
    plots, album = _read(results.model.plots_file, []), Album(gallery)
    properties = results.model.properties
    objects = _objects(results)
    field = fields_plot(layers, objects)
    return {
        **properties,
        **_table(layers),
        "totals": totals(layers),
        "advice": advise(layers, objects),
        "field": [chart(field)] if field else [],
        "seen": [draw(plot, results.model.path, album) for plot in plots],
        "figures": _curves(history, properties.get("best_epoch")),
    }


def _table(layers: list[dict[str, typing.Any]]) -> dict[str, typing.Any]:
    names = columns(layers)
    return {
        "layers": [[layer.get(name) for name in names] for layer in layers],
        "columns": [
            {"name": name.replace("_", " "), "numeric": _is_numeric(layer.get(name) for layer in layers)}
            for name in names
        ],
    }


def _objects(results: Results) -> dict[str, float] | None:
    if not results.statistics or not results.transform_graph:
        return None
    shape = results.transform_graph.read()
    return object_sizes(results.statistics.read().get("train", {}), shape["height"], shape["width"])


def _is_numeric(values: Iterable[typing.Any]) -> bool:
    return all(value is None or isinstance(value, int | float) for value in values)


def _read(file: pathlib.Path, default: typing.Any) -> typing.Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else default


def _curves(history: dict[str, list[float | None]], best: int | None) -> list[Figure]:
    """One chart a metric, the one of validation in the same chart."""
    pairs: dict[str, dict[str, list[float | None]]] = {}
    for name, values in history.items():
        base = name.removeprefix("val_") if name.removeprefix("val_") in history else name
        pairs.setdefault(base, {})["training" if base == name else "validation"] = values
    caption = "By epoch."
    if any(len(series) > 1 for series in pairs.values()):
        caption += (
            " Where the validation line turns away from the other, the model learns its examples by heart."
        )
    if best is not None:
        caption += f" The weights kept are those of epoch {best} (dashed)."
    return [
        chart(
            {
                "kind": "lines",
                "title": base.replace("_", " "),
                "caption": caption,
                "x": "epoch",
                "y": base.replace("_", " "),
                "whole": True,
                "mark": best,
                "series": [
                    {"name": name, "x": list(range(1, len(values) + 1)), "y": values}
                    for name, values in series.items()
                ],
            }
        )
        for base, series in pairs.items()
        if any(math.isfinite(value) for values in series.values() for value in values if value is not None)
    ]
