"""What was set aside, dropped or clipped: counts, some of the rows, and pictures."""

import collections
import typing

from conveyor.components.example_gen.readers.raw import REASONS
from conveyor.components.model_card.pictures import Album
from conveyor.components.model_card.results import Results
from conveyor.components.model_card.text import clip

_SHOWN = 20  # rows listed
_ACTIONS = ("set_aside", "dropped", "clipped", "kept")

Row = dict[str, str]


def quarantine_section(results: Results, album: Album) -> dict[str, typing.Any]:
    """Returns what quarantine.jsonl says.

    Args:
        results: What the run produced.
        album: Loads the pictures.

    Returns:
        `read` (files read, or None), `count` (rows), `actions` (those there are), `totals` (one count
        an action), `reasons` ({`name`, `explanation`, `counts`}, the most frequent first), `rows` and
        `pictures` (of every reason as many, as far as there are), `left` (pictures that found no room).
    """
    rows = [_whole(row) for row in results.examples.quarantine()]
    totals = collections.Counter(row["action"] for row in rows)
    actions = [action for action in dict.fromkeys([*_ACTIONS, *sorted(totals)]) if totals[action]]
    spread = _spread(rows)
    items = [{"file": row["preview"], "caption": _caption(row)} for row in spread if row["preview"]]
    pictures, left = album.load(items, results.examples.path)
    return {
        "read": results.examples.properties.get("read"),
        "count": len(rows),
        "actions": actions,
        "totals": [totals[action] for action in actions],
        "reasons": _reasons(rows, actions),
        "rows": sorted(spread[:_SHOWN], key=lambda row: row["reason"]),
        "pictures": pictures,
        "left": left,
    }


def _reasons(rows: list[Row], actions: list[str]) -> list[dict[str, typing.Any]]:
    counts = collections.Counter((row["reason"], row["action"]) for row in rows)
    totals = collections.Counter(row["reason"] for row in rows)
    return [
        {
            "name": reason,
            "explanation": REASONS.get(reason, ""),
            "counts": [counts[reason, action] for action in actions],
        }
        for reason in sorted(totals, key=lambda reason: (-totals[reason], reason))
    ]


def _whole(row: Row) -> Row:
    """Returns a row with all its fields; one that does not say what was done is of a file set aside."""
    return {"field": "", "detail": "", "action": "set_aside", "preview": "", **row}


def _spread(rows: list[Row]) -> list[Row]:
    """Returns the first row of each reason, then the second of each, and so on.

    So that a reason of very many rows leaves some room for the others.
    """
    seen: collections.Counter[str] = collections.Counter()
    ranks = []
    for row in rows:
        ranks.append(seen[row["reason"]])
        seen[row["reason"]] += 1
    return [rows[number] for number in sorted(range(len(rows)), key=ranks.__getitem__)]


def _caption(row: Row) -> str:
    place = f"{clip(row['file'], 80)} {row['field']}".strip()
    return clip(f"{place}: {row['reason']} - {row['detail']}", 240)
