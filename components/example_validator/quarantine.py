"""Anomalies of what ingestion set aside, dropped, clipped, or only has to say."""

import collections

from conveyor.components.example_gen.readers.raw import REASONS
from conveyor.components.example_validator.anomaly import Anomaly, clip, count_of, make_anomaly


def check_quarantine(rows: list[dict[str, str]], read: int, limit: float) -> list[Anomaly]:
    """Returns an anomaly for each reason that files were set aside for, and parts of files changed.

    Args:
        rows: Of `quarantine.jsonl`.
        read: Number of files read.
        limit: Share of files set aside above which they are errors.
    """
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["action"], row["reason"]].append(row)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] != "set_aside", item[0]))
    total = sum(row["action"] == "set_aside" for row in rows)
    return [
        _set_aside(reason, found, total, read, limit) if action == "set_aside" else _parts(*key, found)
        for key, found in ordered
        for action, reason in [key]
    ]


def _set_aside(reason: str, rows: list[dict[str, str]], total: int, read: int, limit: float) -> Anomaly:
    share = total / max(read, 1)
    names = [row["file"] for row in rows]
    verb = "was" if len(rows) == 1 else "were"
    long = (
        f"{len(rows)} of {count_of(read, 'file')} {verb} set aside as {reason}{_meaning(reason)}, such as"
        f" {clip(names[0])}"
    )
    if share > limit:
        long += f"; {share:.2%} in all, and data.max_quarantine is {limit:.2%}"
    severity = "error" if share > limit else "warning"
    return make_anomaly(
        reason, severity, f"{count_of(len(rows), 'file')} set aside: {reason}", long, examples=names
    )


def _parts(action: str, reason: str, rows: list[dict[str, str]]) -> Anomaly:
    names = [f"{row['file']} {row['field']}".strip() for row in rows]
    files = len({row["file"] for row in rows})
    return make_anomaly(
        reason,
        "warning",
        f"{count_of(len(rows), 'annotation')} {action}: {reason}",
        f"{count_of(len(rows), 'annotation')} of {count_of(files, 'file')} {action} as {reason}"
        f"{_meaning(reason)}, such as {clip(names[0])}: {clip(rows[0]['detail'])}",
        examples=names,
    )


def _meaning(reason: str) -> str:
    return f" ({REASONS[reason]})" if reason in REASONS else ""
