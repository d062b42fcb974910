"""What an anomaly looks like, for the checks that find them."""

import typing
from collections.abc import Iterable

Anomaly = dict[str, typing.Any]
_SHOWN = 10  # examples, and names in a text
_LONGEST = 80  # characters of a name in a text


def make_anomaly(
    kind: str, severity: str, short: str, long: str, *, split: str = "", examples: Iterable[str] = ()
) -> Anomaly:
    """Returns an anomaly without pictures (see `conveyor.components.artifacts.Anomalies`)."""
    return {
        "kind": kind,
        "severity": severity,
        "split": split,
        "short": short,
        "long": long,
        "examples": list(examples)[:_SHOWN],
        "pictures": [],
    }


def clip(text: str, length: int = _LONGEST) -> str:
    """Returns a text that is cut where it is longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def list_names(names: Iterable[str]) -> str:
    """Returns names in quotes, the first of many."""
    quoted = [repr(clip(name)) for name in names]
    more = f" and {len(quoted) - _SHOWN} more" if len(quoted) > _SHOWN else ""
    return ", ".join(quoted[:_SHOWN]) + more


def count_of(number: int, noun: str) -> str:
    """Returns "1 file", "2 files", "2 classes"."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"
