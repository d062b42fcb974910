"""Plots as an evaluation or the statistics describe them, turned into figures of the page.

A plot is a dict with `kind`, `title`, `caption` and what its kind needs:

- lines: `x`, `y` (axis labels), `series` ({name, x, y}, and of a band low and high), `domain`
  ([[x0, x1], [y0, y1]], optional)
- matrix: `rows`, `columns` (axis labels), `labels`, `values` (counts)
- bars: `x`, `y` (axis labels), `items` ({name, value, low, high})
- counts: `x`, `y` (axis labels), `groups` (name -> item name -> count, or share where `shares` is true)
- ranges: `x`, `y` (axis labels), `groups` (name -> summary with `quantiles` and `mean`)
- heatmap: `x`, `y` (axis labels), `groups` (name -> rows of counts)
- fields: `x`, `y` (axis labels), `items` ({name, field, effective}, in pixels), `marks` ({name, value})
- gallery: `items` ({file, caption}), files relative to the artifact

What is of another kind, or lacks something, is shown as JSON rather than dropped.
"""

import dataclasses
import json
import pathlib
import typing

from conveyor.components.model_card.bars import bars, counts
from conveyor.components.model_card.chart import Chart, Plot
from conveyor.components.model_card.fields import fields
from conveyor.components.model_card.heatmap import heatmap
from conveyor.components.model_card.lines import lines
from conveyor.components.model_card.matrix import matrix
from conveyor.components.model_card.pictures import Album
from conveyor.components.model_card.ranges import ranges
from conveyor.components.model_card.text import plural, pretty

_CHARTS: dict[str, typing.Callable[[Plot], Chart]] = {
    "lines": lines,
    "matrix": matrix,
    "bars": bars,
    "counts": counts,
    "ranges": ranges,
    "heatmap": heatmap,
    "fields": fields,
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of the page.

    Args:
        title: Its heading.
        caption: How to read it.
        spec: A Vega-Lite spec as JSON, for a chart.
        pictures: Pictures with `src`, `caption`, `width` and `small`, for a gallery.
        block: JSON to show as it is, for what has no drawing.
        wide: Whether it needs the whole width of the page.
    """

    title: str
    caption: str
    spec: str = ""
    pictures: tuple[dict[str, typing.Any], ...] = ()
    block: str = ""
    wide: bool = False


def draw(plot: Plot, folder: pathlib.Path, album: Album) -> Figure:
    """Draws a plot.

    Args:
        plot: What to draw.
        folder: What files of a gallery are relative to.
        album: Loads the pictures.
    """
    kind = str(plot.get("kind"))
    try:
        if kind == "gallery":
            return _gallery(plot, folder, album)
        if kind in _CHARTS:
            return chart(plot)
        why = f"This page has no drawing for a plot of the kind {kind!r}; here is its content."
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        why = f"This plot could not be drawn ({type(error).__name__}: {error}); here is its content."
    caption = f"{plot.get('caption') or ''} {why}".strip()
    return Figure(str(plot.get("title") or kind), caption, block=pretty(plot), wide=True)


def chart(plot: Plot) -> Figure:
    """Draws a plot of one of the kinds that are charts."""
    drawing = _CHARTS[plot["kind"]](plot)
    # "<" is escaped so that no text in the data can end the script element that holds the spec
    spec = json.dumps(drawing.spec, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    caption = " ".join(filter(None, [str(plot.get("caption") or ""), drawing.note]))
    return Figure(str(plot["title"]), caption, spec=spec, wide=drawing.wide)


def _gallery(plot: Plot, folder: pathlib.Path, album: Album) -> Figure:
    pictures, left = album.load(plot["items"], folder)
    caption = str(plot.get("caption") or "")
    if left:
        caption += f" And {plural(left, 'more picture')} in the artifact."
    return Figure(str(plot["title"]), caption.strip(), pictures=tuple(pictures), wide=True)
