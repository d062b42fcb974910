"""The scripts that draw charts in the page, without a network."""

import contextlib
import importlib.metadata
import os
import pathlib
import tempfile
import typing

import altair
import vl_convert

# Colours are variables of the page's style sheet, so that charts follow light and dark.
CONFIG: dict[str, typing.Any] = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--ink)",
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 11,
        "titleFontSize": 12,
    },
    "legend": {"labelColor": "var(--ink)", "titleColor": "var(--ink)", "labelFontSize": 12},
    "header": {"labelColor": "var(--ink)", "labelFontSize": 12, "labelFontWeight": "bold"},
    "bar": {"color": "var(--s1)"},
    "text": {"color": "var(--ink)"},
    "range": {"category": [f"var(--s{number})" for number in range(1, 11)]},
}


def library() -> str:
    """Returns Vega, Vega-Lite and vega-embed as one script that defines `vegaEmbed`.

    Bundling takes a second, so the script is kept in the user's cache directory, one file for each
    pair of versions; where that cannot be written, it is bundled anew.
    """
    version = altair.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    bundler = importlib.metadata.version("vl-convert-python")
    file = _cache_dir() / f"vega-lite-{version}-vl-convert-{bundler}.js"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    script = _harmless(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version))
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(file, script)
    return script


def _cache_dir() -> pathlib.Path:
    """Source: XDG Base Directory Specification."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "conveyor"


def _harmless(script: str) -> str:
    """Returns a script that can stand in an HTML script element as it is."""
    script = script.replace("\r\n", "\n").replace("\r", "\n")
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _write_atomically(file: pathlib.Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".partial")
    with os.fdopen(handle, "w", encoding="utf-8") as partial:
        partial.write(text)
    os.replace(name, file)
