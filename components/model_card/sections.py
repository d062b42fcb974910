"""What each section of the page shows, as plain values for the template."""

import itertools
import json
import math
import pathlib
import typing

from conveyor.components.model_card.figures import Figure, chart, draw
from conveyor.components.model_card.pictures import Album
from conveyor.components.model_card.results import Results
from conveyor.components.model_card.text import shorten_paths

_QUARANTINED = 20  # files listed
_SPLIT_ORDER = ("train", "validation", "val", "test")

Section = dict[str, typing.Any]


def metrics_section(results: Results) -> Section | None:
    """Returns the metrics in groups: those of the whole first, then one group for `name/<class>`.

    Each metric is {`name`, `value`, `low`, `high`, `share`}, the last telling whether all of it
    lies in [0, 1], so that it can be drawn on one scale with others.
    """
    if results.evaluation is None:
        return None
    document = results.evaluation.read()
    judged = [check["metric"] for check in results.blessing.read()["checks"]] if results.blessing else []
    groups: dict[str, list[Section]] = {"": []}
    for name, found in sorted(document["metrics"].items(), key=lambda item: (item[0] not in judged, item[0])):
        head, slash, tail = name.partition("/")
        row = {"name": tail if slash else name, **found, "share": _is_share(found)}
        groups.setdefault(head if slash else "", []).append(row)
    return {"split": document["split"], "examples": document["examples"], "groups": groups}


def _is_share(metric: dict[str, float | None]) -> bool:
    values = [metric.get(name) for name in ("value", "low", "high")]
    return values[0] is not None and all(value is None or 0 <= value <= 1 for value in values)


def data_section(results: Results) -> Section:
    """Returns what the data is: splits, classes, what was set aside, anomalies."""
    properties = results.examples.properties
    statistics = results.statistics.read() if results.statistics else {}
    quarantine = results.examples.quarantine()
    splits = [
        {"name": name, "examples": properties["splits"][name], **statistics.get(name, {})}
        for name in sorted(properties["splits"], key=_split_rank)
    ]
    return {
        "splits": splits,
        "total": sum(split["examples"] for split in splits),
        "classes": properties.get("classes", []),
        "read": properties.get("read"),
        "quarantine": quarantine[:_QUARANTINED],
        "quarantined": len(quarantine),
        "anomalies": results.anomalies.read() if results.anomalies else None,
        "input": results.transform_graph.read() if results.transform_graph else None,
        "figures": _class_counts(splits, properties.get("classes", [])),
    }


def _split_rank(name: str) -> tuple[int, str]:
    return (_SPLIT_ORDER.index(name) if name in _SPLIT_ORDER else len(_SPLIT_ORDER), name)


def _class_counts(splits: list[Section], classes: list[str]) -> list[Figure]:
    groups = {
        split["name"]: {name: split["classes"].get(name, 0) for name in [*classes, *split["classes"]]}
        for split in splits
        if split.get("classes")
    }
    if not groups:
        return []
    caption = "Examples of each class in each split. Every split has a scale of its own: compare shapes."
    plot = {"kind": "counts", "title": "Classes", "caption": caption, "y": "class", "groups": groups}
    return [chart(plot)]


def model_section(results: Results) -> Section | None:
    """Returns facts on the model, its layer table, and its training curves."""
    if results.model is None:
        return None
    layers = _read(results.model.layers_file, [])
    columns = list(dict.fromkeys(itertools.chain.from_iterable(layers)))
    history = _read(results.model.history_file, {})
    properties = results.model.properties
    return {
        **properties,
        "layers": [[layer.get(column, "") for column in columns] for layer in layers],
        "columns": [column.replace("_", " ") for column in columns],
        "figures": _curves(history, properties.get("best_epoch")),
    }


def _read(file: pathlib.Path, default: typing.Any) -> typing.Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else default


def _curves(history: dict[str, list[float]], best: int | None) -> list[Figure]:
    """One chart a metric, the one of validation in the same chart."""
    pairs: dict[str, dict[str, list[float]]] = {}
    for name, values in history.items():
        base = name.removeprefix("val_") if name.removeprefix("val_") in history else name
        pairs.setdefault(base, {})["training" if base == name else "validation"] = values
    caption = "By epoch."
    if best is not None:
        caption += f" The weights kept are those of epoch {best} (dashed)."
    return [
        chart(
            {
                "kind": "lines",
                "title": base.replace("_", " "),
                "caption": caption,
                "x": "epoch",
                "y": base.replace("_", " "),
                "whole": True,
                "mark": best,
                "series": [
                    {"name": name, "x": list(range(1, len(values) + 1)), "y": values}
                    for name, values in series.items()
                ],
            }
        )
        for base, series in pairs.items()
        if any(math.isfinite(value) for values in series.values() for value in values if value is not None)
    ]


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
