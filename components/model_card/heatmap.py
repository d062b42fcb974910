"""Charts of counts by place in the image."""

import altair as alt

from conveyor.components.model_card.chart import ROWS, Chart, Plot, Row, make_spec

_WHOLE_WIDTH = 720  # pixels, of all groups together
_MAX_WIDTH = 260  # pixels, of one group
# a place with one object is to be seen beside those with none
_SHADE = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None)
_PLAIN = alt.Axis(labels=False, ticks=False, grid=False)


def heatmap(plot: Plot) -> Chart:
    """Draws `groups` (name -> rows of counts, from the top) side by side, over the axes `x` and `y`."""
    groups = {str(name): counts for name, counts in plot["groups"].items()}
    height = max(len(counts) for counts in groups.values())
    width = max(len(row) for counts in groups.values() for row in counts)
    side = min(_MAX_WIDTH, _WHOLE_WIDTH // len(groups))
    rows = [row for name, counts in groups.items() for row in _cells(name, counts)]
    drawn = (
        alt.Chart(ROWS, view=alt.ViewBackground(stroke="var(--muted)"))
        .mark_rect(color="var(--s1)")
        .encode(
            x=alt.X("column:O", title=str(plot["x"]), scale=_scale(width), axis=_PLAIN),
            y=alt.Y("row:O", title=str(plot["y"]), scale=_scale(height), axis=_PLAIN),
            opacity=_SHADE,
            column=alt.Column("group:N", title=None, sort=list(groups), spacing=16),
            tooltip=["group:N", alt.Tooltip("count:Q", format=",d")],
        )
    )
    spec = make_spec(drawn, plot, {"rows": rows}, width=side, height=side)
    note = "The stronger the colour, the more there are; the strongest is the largest count of its picture."
    return Chart(spec, note, wide=len(groups) > 1)


def _scale(count: int) -> alt.Scale:
    return alt.Scale(domain=list(range(count)), paddingInner=0, paddingOuter=0)


def _cells(group: str, counts: list[list[int]]) -> list[Row]:
    """Returns one row for each place that is not empty, with its share of the largest count."""
    largest = max(max(row) for row in counts) or 1
    return [
        {"group": group, "row": number, "column": column, "count": count, "share": round(count / largest, 3)}
        for number, row in enumerate(counts)
        for column, count in enumerate(row)
        if count
    ]
