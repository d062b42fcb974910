"""How differently a model does on the splits, and whether that is more than chance."""

import typing

from conveyor.components.model_card.data import split_rank
from conveyor.components.model_card.results import Results
from conveyor.components.model_card.text import number

Metric = dict[str, float | None]


def gap_section(results: Results) -> dict[str, typing.Any] | None:
    """Returns {`metrics`, `rows`, `sentences`}: a row a split, with a value for each metric.

    Returns:
        None where the evaluation has looked at fewer than two splits.
    """
    document = results.evaluation.read() if results.evaluation else {}
    found: dict[str, dict[str, Metric]] = document.get("gap") or {}
    gap = {split: found[split] for split in sorted(found, key=split_rank)}
    if len(gap) < 2:
        return None
    names = sorted({name for metrics in gap.values() for name in metrics})
    rows = [
        {"split": split, "values": [metrics.get(name) for name in names]} for split, metrics in gap.items()
    ]
    judged = [check["metric"] for check in results.blessing.read()["checks"]] if results.blessing else []
    first = next((name for name in (*judged, *names) if name in names), "")
    return {"metrics": names, "rows": rows, "sentences": _sentences(gap, first)}


def _sentences(gap: dict[str, dict[str, Metric]], name: str) -> list[str]:
    """Returns a sentence for each split after the first, on one metric."""
    learned, *others = gap
    told = (_sentence(name, learned, gap[learned].get(name), split, gap[split].get(name)) for split in others)
    return [sentence for sentence in told if sentence]


def _sentence(name: str, learned: str, one: Metric | None, split: str, other: Metric | None) -> str:
    if not one or not other or None in (*one.values(), *other.values()):
        return ""
    values = f"{name} is {number(one['value'])} on {learned} and {number(other['value'])} on {split}"
    apart = _above(one, other) or _above(other, one)
    if not apart:
        return f"{values}: the 95% intervals meet, so chance alone may explain the difference."
    return f"{values}: the 95% intervals lie apart, so the gap is larger than chance."


def _above(one: Metric, other: Metric) -> bool:
    return (one["low"] or 0.0) > (other["high"] or 0.0)
