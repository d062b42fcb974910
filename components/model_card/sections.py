"""What each section of the page shows, as plain values for the template."""

import math
import pathlib
import typing

from conveyor.components.model_card.figures import Figure, draw
from conveyor.components.model_card.pictures import Album
from conveyor.components.model_card.results import Results
from conveyor.components.model_card.text import shorten_paths

Section = dict[str, typing.Any]


def metrics_section(results: Results) -> Section | None:
    """Returns the metrics in groups: those of the whole first, then those of each `name/<class>`.

    A group is {`name`, `scale`, `rows`}, a row {`name`, `value`, `low`, `high`, `bar`}: a bar lies on
    the group's scale, in shares of its length, and is None for a metric that is no share.
    """
    if results.evaluation is None:
        return None
    document = results.evaluation.read()
    judged = [check["metric"] for check in results.blessing.read()["checks"]] if results.blessing else []
    groups: dict[str, list[Section]] = {"": []}
    for name, found in sorted(document["metrics"].items(), key=lambda item: (item[0] not in judged, item[0])):
        head, slash, tail = name.partition("/")
        groups.setdefault(head if slash else "", []).append({"name": tail if slash else name, **found})
    return {
        "split": document["split"],
        "examples": document["examples"],
        "drawn": _drawn(document),
        "groups": [{"name": name, **_with_bars(rows)} for name, rows in groups.items() if rows],
    }


def _drawn(document: Section) -> str:
    """Returns what other draws an interval thinks of."""
    if document.get("resampled") != "groups":
        return "other examples of the same kind"
    return f"other groups of the same kind (whole groups are drawn, of which there are {document['units']:,})"


def _with_bars(rows: list[Section]) -> Section:
    """Adds bars, on a scale that suits the first share and what lies within half of the range of it.

    One scale for all would be the whole of [0, 1] as soon as an error near 0 is among the metrics,
    and no interval could be seen on it.
    """
    shares = {row["name"]: values for row in rows if (values := _values(row)) and _are_shares(values)}
    first = next(iter(shares.values()), [0.0])[0]
    near = {name: values for name, values in shares.items() if abs(values[0] - first) <= 0.5}
    flat = [value for values in near.values() for value in values] or [0.0, 1.0]
    low, high = math.floor(min(flat) * 10) / 10, math.ceil(max(flat) * 10) / 10
    length = (high - low) or 1.0

    def bar(name: str) -> Section | None:
        ends = [(value - low) / length for value in near.get(name, [])]
        return {"point": ends[0], "left": min(ends), "right": max(ends)} if ends else None

    return {"scale": [low, high], "rows": [{**row, "bar": bar(row["name"])} for row in rows]}


def _values(metric: Section) -> list[float]:
    """Returns value, low and high; the value alone where there is no interval."""
    names = ("value",) if metric.get("low") is None else ("value", "low", "high")
    return [metric[name] for name in names if metric.get(name) is not None]


def _are_shares(values: list[float]) -> bool:
    return all(0 <= value <= 1 for value in values)


def evaluation_section(results: Results, gallery: int) -> list[Figure]:
    """Returns the figures of the evaluation, whatever its task.

    Args:
        results: What the run produced.
        gallery: Pictures in a gallery, at the most.
    """
    if results.evaluation is None:
        return []
    album = Album(gallery)
    return [draw(plot, results.evaluation.path, album) for plot in results.evaluation.read().get("plots", [])]


def proof_section(results: Results) -> Section | None:
    """Returns the metrics of the served bytes beside the evaluated ones."""
    if results.infra_blessing is None:
        return None
    document = results.infra_blessing.read()
    evaluated = results.evaluation.read()["metrics"] if results.evaluation else {}
    rows = [
        {"name": name, "served": served, "evaluated": evaluated.get(name, {}).get("value")}
        for name, served in sorted(document.get("metrics", {}).items())
    ]
    return {**document, "rows": rows}


def formats_section(results: Results) -> Section | None:
    """Returns the model's other formats: size, metric, gain over the SavedModel, and whether published."""
    if results.formats is None:
        return None
    document = results.formats.read()
    rows = [
        {**row, "megabytes": None if row["bytes"] is None else row["bytes"] / 1e6}
        for row in document["formats"]
    ]
    return {**document, "rows": rows}


def lineage_section(records: list[dict[str, typing.Any]], workspace: pathlib.Path) -> list[Section]:
    """Returns the executions behind the card, each after those it builds on.

    Args:
        records: What the engine knows of them; times and names of runs are left out.
        workspace: Root of the workspace, to shorten paths.
    """
    makers = {digest: record for record in records for digest in record["outputs"].values()}

    def depth(record: dict[str, typing.Any]) -> int:
        before = [makers[digest] for digest in record["inputs"].values() if digest in makers]
        return 1 + max(map(depth, before), default=0)

    ordered = sorted(records, key=lambda record: (depth(record), record["stage"], str(record["outputs"])))
    return [
        {
            "stage": record["stage"],
            "inputs": dict(sorted(record["inputs"].items())),
            "outputs": dict(sorted(record["outputs"].items())),
            "settings": shorten_paths(record["settings"], workspace),
        }
        for record in ordered
    ]
