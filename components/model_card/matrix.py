"""Charts of counts by row and column."""

import altair as alt

from conveyor.components.model_card.chart import MANY, ROWS, WIDTH, Chart, Plot, Row, make_spec

_MAX_CELLS = 2500
_SIDE, _DIGIT = 26, 9  # pixels: of a cell at the least, and of a digit in it
_WHOLE_SIDE = 560  # pixels, of a matrix of many rows
_TINY = 4  # pixels; smaller cells are given an outline, to be seen at all

_SHADE = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.65]), legend=None)


def matrix(plot: Plot) -> Chart:
    """Draws `values` (counts) by `labels`, over the axes `rows` and `columns`.

    Cells are shaded by their share of the row, so that a rare class is seen as well as a common one.
    """
    labels = [str(label) for label in plot["labels"]]
    cells, left_out = _largest(_cells(labels, plot["values"]))
    few = len(labels) <= MANY
    largest = max((cell["count"] for cell in cells), default=0)
    side = max(_SIDE, _DIGIT * len(str(largest))) if few else _WHOLE_SIDE / len(labels)
    outline = {"stroke": "var(--s1)", "strokeWidth": 1} if side < _TINY else {}
    base = alt.Chart(ROWS).encode(**_axes(plot, labels, side))
    shaded = base.mark_rect(color="var(--s1)", **outline)
    layers = [shaded.encode(opacity=_SHADE, tooltip=_tooltip(plot))]
    if few:
        layers.append(base.mark_text(fontSize=11).encode(text=alt.Text("count:Q", format=",d")))
    size = round(side * len(labels))
    spec = make_spec(alt.layer(*layers), plot, {"rows": cells}, width=size, height=size)
    note = "The stronger the colour of a cell, the larger its share of its row."
    if left_out:
        note += f" The {left_out:,} smallest counts are left out."
    return Chart(spec, note, wide=size > WIDTH)


def _cells(labels: list[str], values: list[list[int]]) -> list[Row]:
    """Returns one row a cell; of a large matrix, only of those that are not 0."""
    cells = []
    for label, counts in zip(labels, values, strict=True):
        total = sum(counts) or 1
        cells += [
            {"row": label, "column": column, "count": count, "share": round(count / total, 4)}
            for column, count in zip(labels, counts, strict=True)
            if count or len(labels) <= MANY
        ]
    return cells


def _largest(cells: list[Row]) -> tuple[list[Row], int]:
    """Returns the cells that a page can carry, and how many are left out."""
    kept = sorted(cells, key=lambda cell: -cell["count"])[:_MAX_CELLS]
    return kept, len(cells) - len(kept)


def _axes(plot: Plot, labels: list[str], side: float) -> dict[str, alt.X | alt.Y]:
    long = max(map(len, labels), default=0) * 7 > side
    plain = {"grid": False, "ticks": False, "domain": False, "labelLimit": 110, "labelOverlap": True}
    top = alt.Axis(orient="top", labelAngle=-90 if long else 0, **plain)
    scale = alt.Scale(domain=labels, paddingInner=0)
    return {
        "x": alt.X("column:N", title=str(plot["columns"]), scale=scale, axis=top),
        "y": alt.Y("row:N", title=str(plot["rows"]), scale=scale, axis=alt.Axis(**plain)),
    }


def _tooltip(plot: Plot) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("row:N", title=str(plot["rows"])),
        alt.Tooltip("column:N", title=str(plot["columns"])),
        alt.Tooltip("count:Q", title="count", format=",d"),
        alt.Tooltip("share:Q", title="share of the row", format=".1%"),
    ]
