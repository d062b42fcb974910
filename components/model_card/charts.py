"""Vega-Lite specs of the kinds of plots that are charts."""

import dataclasses
import math
import typing

import altair as alt
from conveyor.components.model_card.text import finite

_WIDTH, _HEIGHT = 400, 260  # pixels, of one chart's inside
_MAX_POINTS = 200  # of one series
_MAX_SERIES_POINTS = 4000  # of all series of a chart
_DOTS = 40  # points of one series that are drawn as visible dots
_COLOURS = 10  # series that are told apart by colour
_NUMBERS = 25  # classes up to which a matrix shows its counts
_MAX_CELLS = 5000
_ROW = 18  # pixels, of one bar


@dataclasses.dataclass(frozen=True)
class Chart:
    """A chart that has been laid out.

    Args:
        spec: Its Vega-Lite spec.
        note: What its caption must add.
        wide: Whether it needs the whole width of the page.
    """

    spec: dict[str, typing.Any]
    note: str = ""
    wide: bool = False


def lines(plot: dict[str, typing.Any]) -> Chart:
    """Lines through points; `mark` (optional) is an x with a dashed rule."""
    names = [str(series["name"]) for series in plot["series"]]
    limit = max(2, min(_MAX_POINTS, _MAX_SERIES_POINTS // max(1, len(names))))
    longest = max((len(series["x"]) for series in plot["series"]), default=0)
    rows = [row for series in plot["series"] for row in _points(series, limit)]
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("x:Q", title=str(plot["x"]), **_axis(plot, 0, whole=bool(plot.get("whole")))),
        y=alt.Y("y:Q", title=str(plot["y"]), **_axis(plot, 1)),
        color=_colour(names),
    )
    many = len(names) > _COLOURS
    drawn = base.mark_line(clip=True, strokeWidth=1 if many else 2, opacity=0.5 if many else 1)
    shown = 1 if longest <= _DOTS and not many else 0  # hidden dots still have tooltips
    dots = base.mark_point(clip=True, filled=True, size=28 if shown else 80, opacity=shown)
    tooltip = [
        *([alt.Tooltip("series:N", title="series")] if len(names) > 1 else []),
        alt.Tooltip("x:Q", title=str(plot["x"])),
        alt.Tooltip("y:Q", title=str(plot["y"])),
    ]
    layers = [drawn.encode(order="i:Q"), dots.encode(tooltip=tooltip)]
    if plot.get("mark") is not None:
        rule = alt.Chart(_data([{"x": plot["mark"]}]))
        layers.insert(0, rule.mark_rule(strokeDash=[4, 4], color="var(--muted)").encode(x="x:Q"))
    note = "Long lines are thinned." if longest > limit else ""
    if many:
        note = f"{note} There are too many lines for colours of their own: point at one for its name."
    return Chart(_spec(alt.layer(*layers), plot, width=_WIDTH, height=_HEIGHT), note.strip())


def matrix(plot: dict[str, typing.Any]) -> Chart:
    """Counts by row and column, shaded by their share of the row."""
    labels = [str(label) for label in plot["labels"]]
    rows = _cells(labels, plot["values"])
    kept = sorted(rows, key=lambda row: -row["count"])[:_MAX_CELLS]
    if len(kept) < len(rows):
        rows = [row for row in rows if row["count"] >= kept[-1]["count"]]
    side = max(26, 9 * len(str(max((row["count"] for row in rows), default=0))))
    side = side if len(labels) <= _NUMBERS else max(2, 640 // len(labels))
    turn = -90 if max(map(len, labels), default=0) * 7 > side else 0
    scale = alt.Scale(domain=labels, paddingInner=0)
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("column:N", title=str(plot["columns"]), scale=scale,
                axis=alt.Axis(orient="top", labelAngle=turn, labelOverlap=True, **_PLAIN)),
        y=alt.Y("row:N", title=str(plot["rows"]), scale=scale,
                axis=alt.Axis(labelOverlap=True, **_PLAIN)),
    )  # fmt: skip
    layers = [base.mark_rect(color="var(--s1)").encode(opacity=_SHADE, tooltip=_cell_tooltip(plot))]
    if len(labels) <= _NUMBERS:
        layers.append(base.mark_text(fontSize=11).encode(text=alt.Text("count:Q", format=",d")))
    spec = _spec(alt.layer(*layers), plot, width={"step": side}, height={"step": side})
    note = "The darker a cell, the larger its share of its row."
    return Chart(spec, note, wide=side * len(labels) > _WIDTH + 40)


def bars(plot: dict[str, typing.Any]) -> Chart:
    """One bar an item, with its interval where it has one."""
    rows = finite([{**item, "name": str(item["name"])} for item in plot["items"]])
    names = [row["name"] for row in rows]
    base = alt.Chart(_data(rows)).encode(y=alt.Y("name:N", title=str(plot["y"]), sort=None, axis=_NAMES))
    tooltip = [alt.Tooltip("name:N", title=str(plot["y"])), alt.Tooltip("value:Q", title=str(plot["x"]))]
    layers = [base.mark_bar().encode(x=alt.X("value:Q", title=str(plot["x"])), tooltip=tooltip)]
    if any(row.get("low") is not None for row in rows):
        ends = [alt.Tooltip("low:Q"), alt.Tooltip("high:Q")]
        layers.append(
            base.mark_rule(color="var(--ink)", strokeWidth=2).encode(
                x="low:Q", x2="high:Q", tooltip=[*tooltip, *ends]
            )
        )
    spec = _spec(alt.layer(*layers), plot, width=_WIDTH, height={"step": _ROW})
    return Chart(spec, "Dark lines are 95% intervals." if len(layers) > 1 else "", wide=len(names) > 25)


def counts(plot: dict[str, typing.Any]) -> Chart:
    """Bars side by side: `groups` (name -> item name -> count) over the same items."""
    groups = {str(name): counted for name, counted in plot["groups"].items()}
    names = list(dict.fromkeys(str(name) for counted in groups.values() for name in counted))
    rows = [
        {"name": name, "group": group, "count": counted.get(name, 0)}
        for group, counted in groups.items()
        for name in names
    ]
    top = alt.Axis(orient="top" if len(names) > 25 else "bottom", tickCount=4)
    tooltip = [alt.Tooltip("group:N", title="split"), alt.Tooltip("name:N", title="class"), "count:Q"]
    chart = (
        alt.Chart(_data(rows))
        .mark_bar()
        .encode(
            x=alt.X("count:Q", title="examples", axis=top),
            y=alt.Y("name:N", title=str(plot["y"]), sort=None, axis=_NAMES),
            column=alt.Column("group:N", title=None, sort=list(groups), spacing=16),
            tooltip=tooltip,
        )
        .resolve_scale(x="independent")
    )
    return Chart(_spec(chart, plot, width=max(120, 720 // max(1, len(groups))), height={"step": _ROW}), wide=True)


KINDS: dict[str, typing.Callable[[dict[str, typing.Any]], Chart]] = {
    "lines": lines,
    "matrix": matrix,
    "bars": bars,
    "counts": counts,
}

_PLAIN = {"grid": False, "ticks": False, "domain": False, "labelLimit": 110}
_NAMES = alt.Axis(ticks=False, domain=False, labelLimit=150)
_SHADE = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.8]), legend=None)


def _data(rows: list[dict[str, typing.Any]]) -> alt.InlineData:
    return alt.InlineData(values=rows)


def _spec(chart: typing.Any, plot: dict[str, typing.Any], **size: typing.Any) -> dict[str, typing.Any]:
    """Returns the spec of a chart, described for those who cannot see it."""
    made = chart.properties(description=f"Chart: {plot['title']}", **size)
    spec = made.to_dict(validate=False)
    spec.pop("$schema")
    return spec


def _points(series: dict[str, typing.Any], limit: int) -> list[dict[str, typing.Any]]:
    """Returns the points of a series, thinned evenly, its first and last kept."""
    pairs = finite(list(zip(series["x"], series["y"], strict=True)))
    step = max(1.0, (len(pairs) - 1) / (limit - 1))
    kept = [pairs[round(step * number)] for number in range(math.floor((len(pairs) - 1) / step) + 1)]
    return [{"series": str(series["name"]), "i": i, "x": x, "y": y} for i, (x, y) in enumerate(kept)]


def _axis(plot: dict[str, typing.Any], axis: int, whole: bool = False) -> dict[str, typing.Any]:
    domain = plot.get("domain")
    scale = alt.Scale(domain=domain[axis]) if domain else alt.Scale(zero=False, nice=not whole)
    return {"scale": scale, **({"axis": alt.Axis(tickMinStep=1, format="d")} if whole else {})}


def _colour(names: list[str]) -> alt.Color | alt.ColorValue:
    if len(names) == 1:
        return alt.ColorValue("var(--s1)")
    if len(names) > _COLOURS:
        return alt.Color("series:N", legend=None)
    columns = max(1, min(5, 44 // (max(map(len, names)) + 4)))
    legend = alt.Legend(title=None, orient="bottom", columns=columns, labelLimit=180)
    return alt.Color("series:N", scale=alt.Scale(domain=names), legend=legend)


def _cells(labels: list[str], values: list[list[int]]) -> list[dict[str, typing.Any]]:
    """Returns one row a cell; where they are many, only of those that are not 0."""
    rows = []
    for label, counted in zip(labels, values, strict=True):
        total = sum(counted)
        rows += [
            {"row": label, "column": column, "count": count, "share": round(count / (total or 1), 4)}
            for column, count in zip(labels, counted, strict=True)
            if count or len(labels) <= _NUMBERS
        ]
    return rows


def _cell_tooltip(plot: dict[str, typing.Any]) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("row:N", title=str(plot["rows"])),
        alt.Tooltip("column:N", title=str(plot["columns"])),
        alt.Tooltip("count:Q", title="examples"),
        alt.Tooltip("share:Q", title="share of the row", format=".1%"),
    ]
