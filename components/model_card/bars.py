"""Charts of bars, one a name."""

import altair as alt

from conveyor.components.model_card.chart import MANY, NAMES, ROW, ROWS, WIDTH, Chart, Plot, make_spec
from conveyor.components.model_card.text import finite

_WHOLE_WIDTH = 720  # pixels, of all groups together


def bars(plot: Plot) -> Chart:
    """Draws `items` ({name, value, low, high}; no interval where low is None)."""
    rows = finite([{**item, "name": str(item["name"])} for item in plot["items"]])
    x, y = str(plot["x"]), str(plot["y"])
    base = alt.Chart(ROWS).encode(y=alt.Y("name:N", title=y, sort=None, axis=NAMES))
    tooltip = [alt.Tooltip("name:N", title=y), alt.Tooltip("value:Q", title=x)]
    layers = [base.mark_bar().encode(x=alt.X("value:Q", title=x), tooltip=tooltip)]
    intervals = any(row.get("low") is not None for row in rows)
    if intervals:
        ends = [alt.Tooltip("low:Q"), alt.Tooltip("high:Q")]
        rule = base.mark_rule(color="var(--ink)", strokeWidth=2)
        layers.append(rule.encode(x="low:Q", x2="high:Q", tooltip=[*tooltip, *ends]))
    spec = make_spec(alt.layer(*layers), plot, {"rows": rows}, width=WIDTH, height={"step": ROW})
    return Chart(spec, "Thin lines are 95% intervals." if intervals else "", wide=len(rows) > MANY)


def counts(plot: Plot) -> Chart:
    """Draws `groups` (name -> item name -> count) side by side, over the same items on the axis `y`.

    Args:
        plot: Also, if it likes: `shares`, whether the counts are shares in [0, 1].
    """
    groups = {str(name): counted for name, counted in plot["groups"].items()}
    names = list(dict.fromkeys(name for counted in groups.values() for name in counted))
    rows = finite(
        [
            {"name": name, "group": group, "count": counted.get(name, 0)}
            for group, counted in groups.items()
            for name in names
        ]
    )
    # where the chart has to be scrolled, its scale is wanted at the top
    top = "top" if len(names) > MANY else "bottom"
    share = bool(plot.get("shares"))
    scale = alt.Axis(orient=top, tickCount=4, **({"format": "~%"} if share else {"tickMinStep": 1}))
    value = alt.Tooltip("count:Q", title=str(plot["x"]), format=".3~%" if share else ",d")
    drawn = (
        alt.Chart(ROWS)
        .mark_bar()
        .encode(
            x=alt.X("count:Q", title=str(plot["x"]), axis=scale),
            y=alt.Y("name:N", title=str(plot["y"]), sort=None, axis=NAMES),
            column=alt.Column("group:N", title=None, sort=list(groups), spacing=16),
            tooltip=["group:N", alt.Tooltip("name:N", title=str(plot["y"])), value],
        )
        .resolve_scale(x="independent")
    )
    width = max(120, _WHOLE_WIDTH // max(1, len(groups)))
    return Chart(make_spec(drawn, plot, {"rows": rows}, width=width, height={"step": ROW}), wide=True)
