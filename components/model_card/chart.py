"""What all charts share: a laid out chart, and how its Vega-Lite spec is made."""

import dataclasses
import typing

import altair

WIDTH, HEIGHT = 400, 260  # pixels, of the inside of one chart
ROW = 18  # pixels, of one bar
MANY = 25  # names on one axis from which a chart takes the whole width

Plot = dict[str, typing.Any]
Row = dict[str, typing.Any]

ROWS = altair.NamedData("rows")
NAMES = altair.Axis(ticks=False, domain=False, labelLimit=150)


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


def make_spec(
    drawn: typing.Any, plot: Plot, data: dict[str, list[Row]], **size: typing.Any
) -> dict[str, typing.Any]:
    """Returns the spec of a chart, with a description for those who cannot see it.

    Args:
        drawn: The altair chart, of named data.
        plot: What it draws.
        data: Name of the data -> rows. Put in last, because altair checks and copies whatever it holds.
        **size: `width` and `height`.
    """
    spec = drawn.properties(description=f"Chart: {plot['title']}", **size).to_dict(validate=False)
    del spec["$schema"]
    return {**spec, "datasets": data}
