"""One figure as a file of its own."""

import json
import pathlib
import re

import altair
import vl_convert

from conveyor.components.model_card import vega
from conveyor.components.model_card.chart import Plot
from conveyor.components.model_card.figures import chart
from conveyor.pipeline.errors import UserError

SUFFIXES = (".svg", ".png", ".html")
_SCALE = 2  # of pixels, so that a picture is sharp on a fine screen


def check_suffix(path: pathlib.Path) -> None:
    """Raises UserError where a picture cannot have such a name."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            "a picture cannot be written in this format", expected=", ".join(SUFFIXES), received=str(path)
        )


def save(plot: Plot, path: pathlib.Path) -> None:
    """Writes a plot that is a chart as a self-contained file.

    Args:
        plot: One of the kinds that `conveyor.components.model_card.figures` draws as a chart.
        path: Its suffix says the format.

    Raises:
        UserError: It is none of `SUFFIXES`.
    """
    check_suffix(path)
    spec, config = (json.loads(_coloured(text)) for text in (chart(plot).spec, json.dumps(vega.CONFIG)))
    spec["title"] = plot["title"]
    config = {**config, "background": "white", "font": "sans-serif"}
    version = altair.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    suffix = path.suffix.lower()
    if suffix == ".png":
        path.write_bytes(vl_convert.vegalite_to_png(spec, vl_version=version, config=config, scale=_SCALE))
        return
    if suffix == ".svg":
        text = vl_convert.vegalite_to_svg(spec, vl_version=version, config=config)
    else:
        text = vl_convert.vegalite_to_html(spec, vl_version=version, config=config, bundle=True)
    path.write_text(text, encoding="utf-8")


def _coloured(text: str) -> str:
    """Replaces the style sheet's variables by the values that they have in the light page."""
    sheet = (pathlib.Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"--([\w-]+): (#\w+);", sheet.partition("}")[0]))
    return re.sub(r"var\(--([\w-]+)\)", lambda found: light[found[1]], text)
