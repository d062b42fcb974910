"""The page: sections, template, scripts, and what the browser may load."""

import base64
import hashlib
import json
import pathlib
import typing

import jinja2
import markupsafe

from conveyor.components.model_card import sections, vega
from conveyor.components.model_card.anomalies import anomalies_section
from conveyor.components.model_card.blessing import blessing_section
from conveyor.components.model_card.data import data_section
from conveyor.components.model_card.gap import gap_section
from conveyor.components.model_card.model import model_section
from conveyor.components.model_card.pictures import Album
from conveyor.components.model_card.quarantine import quarantine_section
from conveyor.components.model_card.results import Results, find_stop, find_verdict
from conveyor.components.model_card.settings import ModelCardSettings
from conveyor.components.model_card.text import cell, clip, number, plural, pretty, shorten_paths
from conveyor.pipeline.stage import Context

_FOLDER = pathlib.Path(__file__).parent


def render(results: Results, settings: ModelCardSettings, context: Context) -> str:
    """Returns the card as HTML.

    The same results and settings give the same text: nothing in it depends on the run or the time.

    Args:
        results: What the run produced.
        settings: What to show.
        context: Its lineage and workspace are used.
    """
    environment = _environment()
    config = json.dumps(vega.CONFIG, sort_keys=True)
    drawing = environment.get_template("charts.js.jinja").render(config=_trusted(config))
    scripts = [vega.library(), drawing]
    album = Album(settings.gallery)  # of the data; anomalies come first
    anomalies = anomalies_section(results, album)
    return environment.get_template("page.html.jinja").render(
        title=settings.title,
        style=markupsafe.Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),  # noqa: S704 our own
        scripts=[markupsafe.Markup(script) for script in scripts],  # noqa: S704 our own
        policy=_policy(scripts),
        kind="Data card" if settings.data_only else "Model card",
        stop=find_stop(results, settings.data_only),
        verdict=find_verdict(results, settings.data_only),
        metrics=sections.metrics_section(results),
        gap=gap_section(results),
        data=data_section(results),
        anomalies=anomalies,
        quarantine=quarantine_section(results, album),
        model=model_section(results, settings.gallery),
        plots=sections.evaluation_section(results, settings.gallery),
        blessing=blessing_section(results, context.lineage, settings.chosen),
        proof=sections.proof_section(results),
        formats=sections.formats_section(results),
        lineage=sections.lineage_section(context.lineage, context.workspace),
        config=shorten_paths(settings.config, context.workspace),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(number=number, cell=cell, clip=clip, pretty=pretty, plural=plural)
    environment.filters["json_script"] = _trusted
    return environment


def _trusted(text: str) -> markupsafe.Markup:
    """Marks JSON whose "<" is escaped as safe inside a script element of type application/json."""
    return markupsafe.Markup(text)  # noqa: S704


def _policy(scripts: typing.Sequence[str]) -> str:
    """Returns a Content-Security-Policy: no request, and no script but the page's own two."""
    digests = [base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
