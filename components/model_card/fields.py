"""Charts of receptive fields: how much of the image each layer sees."""

import typing

import altair as alt

from conveyor.components.model_card.chart import NAMES, ROW, ROWS, WIDTH, Chart, Plot, Row, make_spec
from conveyor.models.describe.advice import Objects, image_side

_MAX_LAYERS = 40


def fields_plot(layers: list[Row], objects: Objects | None = None) -> Plot | None:
    """Returns the plot of a layer table; None where nothing slides over an image.

    Args:
        layers: What `conveyor.models.layer_table.layer_table` returns.
        objects: Sizes of the data's objects in the model's input, in pixels.
    """
    image = image_side(layers)
    rows = [
        {
            "name": row["layer"],
            "field": _side(row["receptive_field"]),
            "effective": _side(row["effective_field"]),
        }
        for row in layers
        if row["kernel"] is not None and row["receptive_field"] is not None
    ]
    if not rows or image is None:
        return None
    sizes = {"image": image, **({"median object": objects["median"]} if objects else {})}
    return {
        "kind": "fields",
        "title": "Receptive field",
        "caption": "Pixels of the image, along one side, that a feature of each layer can see, padding"
        " counted in. Dark: the middle part that holds 95% of what it depends on, measured by gradient"
        " on random images.",
        "x": "pixels from the middle",
        "y": "layer",
        "items": _thin(rows),
        "marks": [{"name": name, "value": value} for name, value in sizes.items()],
    }


def fields(plot: Plot) -> Chart:
    """Draws `items` ({name, field, effective}), each centred on the middle, and `marks` ({name, value})."""
    x, y = str(plot["x"]), str(plot["y"])
    rows = [_ends(item) for item in plot["items"]]
    tooltip = [
        alt.Tooltip("name:N", title=y),
        alt.Tooltip("field:Q", title="sees"),
        alt.Tooltip("effective:Q", title="95% of it"),
    ]
    base = alt.Chart(ROWS).encode(y=alt.Y("name:N", title=y, sort=None, axis=NAMES), tooltip=tooltip)
    bar = base.mark_bar(color="var(--s1)", size=ROW - 6)
    rules = alt.Chart(alt.NamedData("marks")).encode(strokeDash=_dashes(plot))
    rule = rules.mark_rule(color="var(--ink)")
    layers = [
        bar.encode(x=alt.X("low:Q", title=x), x2="high:Q", opacity=alt.value(0.35)),
        bar.encode(x="inner_low:Q", x2="inner_high:Q"),
        rule.encode(x="low:Q"),
        rule.encode(x="high:Q"),
    ]
    data = {"rows": rows, "marks": [_centred(mark["name"], mark["value"]) for mark in plot["marks"]]}
    spec = make_spec(alt.layer(*layers), plot, data, width=2 * WIDTH - 120, height={"step": ROW})
    note = "Lines: " + ", ".join(f"{mark['name']} {mark['value']:.0f} px" for mark in plot["marks"]) + "."
    return Chart(spec, note, wide=True)


def _dashes(plot: Plot) -> alt.StrokeDash:
    names = [mark["name"] for mark in plot["marks"]]
    scale = alt.Scale(domain=names, range=[[1, 0], [4, 4]][: len(names)])
    return alt.StrokeDash("name:N", scale=scale, legend=alt.Legend(title=None, orient="bottom"))


def _ends(item: Row) -> Row:
    inner = item["effective"]
    ends = {"inner_low": None, "inner_high": None}
    if inner is not None:
        ends = {"inner_low": -inner / 2, "inner_high": inner / 2}
    return {**item, **_centred(item["name"], item["field"]), **ends}


def _centred(name: str, size: float) -> Row:
    return {"name": name, "low": -size / 2, "high": size / 2}


def _side(value: typing.Any) -> float | None:
    return max(value) if isinstance(value, list) else value


def _thin(rows: list[Row]) -> list[Row]:
    """Returns at most so many rows, the measured ones before others, in their order."""
    ranked = sorted(range(len(rows)), key=lambda index: (rows[index]["effective"] is None, -index))
    return [rows[index] for index in sorted(ranked[:_MAX_LAYERS])]
