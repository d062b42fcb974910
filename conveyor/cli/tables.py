"""Tables of what runs are about: stages, metrics, verdicts."""

import json
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence

from conveyor.cli.output import printable

ABSENT = "–"
_MOST_DETAILS = 20  # metrics of single classes that a table shows


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[typing.Any]],
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> typing.Any:
    """Returns a rich table.

    Args:
        columns: Headlines.
        rows: A value for each column.
        right: The columns that are aligned to the right.
        whole: The columns whose values are kept on one line, however narrow a terminal is.
    """
    import rich.box
    import rich.table

    made = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        justify: typing.Literal["left", "right"] = "right" if column in right else "left"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=column in whole)
    for row in rows:
        made.add_row(*(printable(str(value)) for value in row))
    return made


def pairs(values: Mapping[str, typing.Any]) -> Iterator[str]:
    """Yields a line for each name and value."""
    width = max(map(len, values), default=0) + 1
    for name, value in values.items():
        yield f"{name + ':':<{width}} {value}"


def interval(metric: Mapping[str, typing.Any] | None) -> str:
    """Returns "value [low, high]"."""
    if not metric or metric.get("value") is None:
        return ABSENT
    low, high = metric.get("low"), metric.get("high")
    bounds = "" if low is None or high is None else f" [{low:.4f}, {high:.4f}]"
    return f"{metric['value']:.4f}{bounds}"


def headline_metrics(metrics: Mapping[str, typing.Any], most: int = 3) -> str:
    """Returns the first metrics that are not of a single class, in one line."""
    names = [name for name in metrics if "/" not in name][:most]
    return "  ".join(f"{name} {interval(metrics[name])}" for name in names) or ABSENT


def metrics_tables(
    metrics: Sequence[Mapping[str, typing.Any]], titles: Sequence[str]
) -> Iterator[typing.Any]:
    """Yields a table of metrics with their 95% intervals, a column for each run.

    Args:
        metrics: Name -> {value, low, high}, of each run.
        titles: Headline of each column.
    """
    names = list(dict.fromkeys(name for some in metrics for name in some))
    if not names:
        return
    overall = [name for name in names if "/" not in name]
    details = [name for name in names if "/" in name]
    shown = overall + details[:_MOST_DETAILS]
    rows = [[name, *(interval(some.get(name)) for some in metrics)] for name in shown]
    yield table(["metric", *titles], rows)
    if len(details) > _MOST_DETAILS:
        yield f"… and {len(details) - _MOST_DETAILS} more: --json shows all"


def stage_outcome(stage: Mapping[str, typing.Any] | None) -> str:
    """Returns what became of a stage, in a word or two."""
    if stage is None:
        return ABSENT
    if stage["status"] == "done":
        notes = "".join(f", {note}" for note in stage.get("notes", ()))
        return "cached" if stage["cached"] else f"{stage['seconds']:.1f} s{notes}"
    return str(stage["status"])


def stages_table(runs: Sequence[Sequence[Mapping[str, typing.Any]]], titles: Sequence[str]) -> typing.Any:
    """Returns a table of stages, with a column of outcomes for each run.

    Args:
        runs: The stages of each run: `name`, `status`, `cached`, `seconds`.
        titles: Headline of each column.
    """
    by_name = [{stage["name"]: stage for stage in stages} for stages in runs]
    names = dict.fromkeys(name for stages in by_name for name in stages)
    rows = [[name, *(stage_outcome(stages.get(name)) for stages in by_name)] for name in names]
    return table(["stage", *titles], rows, right=titles)


def verdicts(summary: Mapping[str, typing.Any]) -> dict[str, str]:
    """Returns what a summary says besides stages and metrics: name -> text."""
    return {
        "quarantined": str(summary.get("quarantined", ABSENT)),
        "anomalies": str(summary.get("anomalies", ABSENT)),
        "blessed": yes_no(summary.get("blessed")),
        "pushed": str(summary.get("pushed") or ABSENT),
        "model card": str(summary.get("model_card") or ABSENT),
    }


def yes_no(value: bool | None) -> str:
    """Returns "yes", "no", or a dash for neither."""
    return ABSENT if value is None else "yes" if value else "no"


def flatten(value: typing.Any, prefix: str = "") -> dict[str, typing.Any]:
    """Returns dotted key -> value of nested dicts; lists are values."""
    if not isinstance(value, dict) or (prefix and not value):
        return {prefix: value}
    inner = [flatten(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in value.items()]
    return {key: item for some in inner for key, item in some.items()}


def short(value: typing.Any) -> str:
    """Returns a setting's value in one short line."""
    text = json.dumps(value) if not isinstance(value, str) else value
    return text if len(text) <= 60 else text[:59] + "…"
