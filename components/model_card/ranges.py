"""Charts of how values spread: one row a name."""

import typing

import altair as alt

from conveyor.components.model_card.chart import MANY, NAMES, ROW, ROWS, WIDTH, Chart, Plot, Row, make_spec
from conveyor.components.model_card.text import finite

_FAR = 50  # times the smallest value that the largest is, from which the scale is logarithmic


def ranges(plot: Plot) -> Chart:
    """Draws `groups` (name -> summary) over the axes `x` and `y`.

    Args:
        plot: A summary holds `quantiles`, which cut the values into equal shares, from the smallest
            to the largest, with the median in the middle; and `mean`.
    """
    groups = {str(name): summary for name, summary in plot["groups"].items()}
    rows = finite([_row(name, summary) for name, summary in groups.items()])
    count = max(len(summary["quantiles"]) for summary in groups.values()) - 1
    far = _is_far(rows)
    scale = alt.Scale(type="log", nice=False) if far else alt.Scale(zero=False)
    x = alt.X("low:Q", title=str(plot["x"]), scale=scale, axis=_axis(len(rows), far))
    base = alt.Chart(ROWS).encode(
        x=x, y=alt.Y("name:N", title=str(plot["y"]), sort=None, axis=NAMES), tooltip=_tooltip(plot)
    )
    bar = base.mark_bar(size=10, color="var(--s1)")
    layers = [
        base.mark_rule(color="var(--s1)", strokeWidth=2).encode(x2="high:Q"),
        bar.encode(x=alt.X("outer_low:Q"), x2="outer_high:Q", opacity=alt.value(0.45)),
        bar.encode(x=alt.X("inner_low:Q"), x2="inner_high:Q"),
        base.mark_tick(color="var(--ink)", thickness=2, size=14).encode(x=alt.X("median:Q")),
    ]
    spec = make_spec(alt.layer(*layers), plot, {"rows": rows}, width=WIDTH, height={"step": ROW})
    return Chart(spec, _note(count, far))


def _row(name: str, summary: dict[str, typing.Any]) -> Row:
    values = summary["quantiles"]
    outer, inner = _depths(len(values) - 1)
    return {
        "name": name,
        "low": values[0],
        "outer_low": values[outer],
        "inner_low": values[inner],
        "median": values[len(values) // 2],
        "inner_high": values[-1 - inner],
        "outer_high": values[-1 - outer],
        "high": values[-1],
        "mean": summary["mean"],
    }


def _depths(count: int) -> tuple[int, int]:
    """Returns at which quantile, from either end, the outer bar and the inner bar begin."""
    return count // 10, 3 * count // 10


def _note(count: int, far: bool) -> str:
    light, dark = (1 - 2 * depth / count for depth in _depths(count))
    note = (
        f"Line: from the smallest to the largest. Light bar: the middle {light:.0%} of all."
        f" Dark bar: the middle {dark:.0%}. Tick: the median."
    )
    return f"{note} The scale is logarithmic." if far else note


def _is_far(rows: list[Row]) -> bool:
    low = min((row["low"] for row in rows if row["low"] is not None), default=0)
    high = max((row["high"] for row in rows if row["high"] is not None), default=0)
    return low > 0 and high >= _FAR * low


def _axis(rows: int, far: bool) -> alt.Axis:
    # where the chart has to be scrolled, its scale is wanted at the top
    return alt.Axis(orient="top" if rows > MANY else "bottom", tickCount=4 if far else 6)


def _tooltip(plot: Plot) -> list[alt.Tooltip]:
    ends = {"low": "smallest", "median": "median", "mean": "mean", "high": "largest"}
    values = [alt.Tooltip(f"{name}:Q", title=title, format=".4~g") for name, title in ends.items()]
    return [alt.Tooltip("name:N", title=str(plot["y"])), *values]
