"""Charts of lines through points."""

import math
import typing

import altair as alt

from conveyor.components.model_card.chart import HEIGHT, ROWS, WIDTH, Chart, Plot, Row, make_spec
from conveyor.components.model_card.text import finite

_MAX_POINTS = 200  # of one series
_MAX_SERIES = 40
_DOTS = 40  # points up to which a series has visible dots
_COLOURS = 10  # series that can be told apart by colour


def lines(plot: Plot) -> Chart:
    """Draws `series` ({name, x, y}, and for a band low and high) over the axes `x` and `y`.

    Args:
        plot: Also, if it likes: `domain` [[x0, x1], [y0, y1]]; `whole`, whether x counts from 1;
            `mark`, an x to draw a dashed rule at.
    """
    series = plot["series"][:_MAX_SERIES]
    names = [str(one["name"]) for one in series]
    limit = _MAX_POINTS if len(names) <= _COLOURS else _MAX_POINTS // 2
    longest = max((len(one["x"]) for one in series), default=0)
    data = {"rows": [row for one in series for row in _thin(one, limit)]}
    layers = _layers(plot, names, dots=longest <= _DOTS, clip=_leaves_domain(plot, data["rows"]))
    if plot.get("mark") is not None:
        data["mark"] = [{"x": plot["mark"]}]
        rule = alt.Chart(alt.NamedData("mark")).mark_rule(strokeDash=[4, 4], color="var(--muted)")
        layers.insert(0, rule.encode(x="x:Q"))
    spec = make_spec(alt.layer(*layers), plot, data, width=WIDTH, height=HEIGHT)
    return Chart(spec, _note(len(names), len(plot["series"]), longest > limit))


def _note(shown: int, count: int, thinned: bool) -> str:
    notes = []
    if thinned:
        notes.append("Lines of very many points are thinned evenly.")
    if shown > _COLOURS:
        notes.append("There are too many lines for a colour each: point at one for its name.")
    if count > shown:
        notes.append(f"The first {shown} of {count:,} lines are shown.")
    return " ".join(notes)


def _layers(plot: Plot, names: list[str], dots: bool, clip: bool) -> list[alt.Chart]:
    many = len(names) > _COLOURS
    x, y = str(plot["x"]), str(plot["y"])
    base = alt.Chart(ROWS).encode(
        x=alt.X("x:Q", title=x, **_axis(plot, 0)),
        y=alt.Y("y:Q", title=y, **_axis(plot, 1)),
        color=_colour(names),
    )
    tooltip = [
        alt.Tooltip("series:N", title="line"),
        alt.Tooltip("x:Q", title=x),
        alt.Tooltip("y:Q", title=y),
    ]
    bands = [_band(plot, names, clip)] if any(one.get("low") for one in plot["series"]) else []
    drawn = base.mark_line(clip=clip, strokeWidth=1 if many else 2, opacity=0.5 if many else 1)
    # dots that are not seen still have tooltips
    seen = dots and not many
    points = base.mark_point(filled=True, clip=clip, size=28 if seen else 80, opacity=1 if seen else 0)
    return [*bands, drawn.encode(order="i:Q"), points.encode(tooltip=tooltip[len(names) == 1 :])]


def _band(plot: Plot, names: list[str], clip: bool) -> alt.Chart:
    return (
        alt.Chart(ROWS)
        .mark_area(clip=clip, opacity=max(0.05, 0.2 / len(names)))  # they lie on each other
        .encode(
            x=alt.X("x:Q", title=str(plot["x"]), **_axis(plot, 0)),
            y=alt.Y("low:Q", title=str(plot["y"]), **_axis(plot, 1)),
            y2="high:Q",
            color=_colour(names),
        )
    )


def _thin(series: dict[str, typing.Any], limit: int) -> list[Row]:
    """Returns the points of a series, every n-th where there are more than `limit`, the last included."""
    band = series.get("low") or (), series.get("high") or ()
    columns = [series["x"], series["y"], *(band if all(band) else ())]
    points = finite(list(zip(*columns, strict=True)))
    step = max(1.0, (len(points) - 1) / (limit - 1))
    kept = [points[round(step * number)] for number in range(math.ceil(len(points) / step))]
    keys = ("x", "y", "low", "high")
    rows = ({"series": str(series["name"]), "i": i} for i in range(len(kept)))
    return [row | dict(zip(keys, point, strict=False)) for row, point in zip(rows, kept, strict=True)]


def _leaves_domain(plot: Plot, rows: list[Row]) -> bool:
    """Whether some point lies outside; only then are lines clipped, which also halves those on the edge."""
    return any(
        row[name] is not None and not low <= row[name] <= high
        for name, (low, high) in zip("xy", plot.get("domain") or (), strict=False)
        for row in rows
    )


def _axis(plot: Plot, number: int) -> dict[str, typing.Any]:
    if plot.get("whole") and number == 0:
        ticks = _whole_ticks(max((len(one["x"]) for one in plot["series"]), default=1))
        return {"scale": alt.Scale(zero=False, nice=False), "axis": alt.Axis(values=ticks, format="d")}
    domain = plot.get("domain")
    return {"scale": alt.Scale(domain=domain[number]) if domain else alt.Scale(zero=False)}


def _whole_ticks(last: int) -> list[int]:
    """Returns at most 13 whole numbers in [1, last]; Vega's own choice also takes halves."""
    step = next(one * 10**power for power in range(9) for one in (1, 2, 5) if last <= 12 * one * 10**power)
    return sorted({1, *range(step, last + 1, step)})


def _colour(names: list[str]) -> alt.Color | alt.ColorValue:
    if len(names) == 1:
        return alt.ColorValue("var(--s1)")
    if len(names) > _COLOURS:
        return alt.Color("series:N", legend=None)
    columns = max(1, min(5, 44 // (max(map(len, names), default=0) + 4)))
    legend = alt.Legend(title=None, orient="bottom", columns=columns, labelLimit=180, symbolOpacity=1)
    return alt.Color("series:N", scale=alt.Scale(domain=names), legend=legend)
