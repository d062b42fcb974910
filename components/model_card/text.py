"""Values as text for people."""

import json
import math
import pathlib
import re
import typing

_NONE = "–"
_MAX_JSON = 20_000  # characters of a JSON block
# "/a/b", "~/a", "C:\\a", "gs://bucket/a", each maybe after the name of a reader, as in "folder:/a/b"
_ABSOLUTE = re.compile(r"([a-z]\w+:(?!//))?((?:/|~/|[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]*://).*)", re.DOTALL)


def number(value: typing.Any) -> str:
    """Returns a number for a table: 4 decimals, thousands apart, a dash for None."""
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else str(value)
    if value == 0:
        return "0"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def cell(value: typing.Any) -> str:
    """Returns any JSON value for a table; a shape as "any × 28 × 28 × 1"."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, int | float):
        return number(value)
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return " × ".join("any" if item is None else cell(item) for item in value) or _NONE
    return json.dumps(value, ensure_ascii=False)


def plural(count: int, noun: str) -> str:
    """Returns "1 file" or "1,234 files"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def clip(text: str, limit: int = 300) -> str:
    """Returns a text without its middle where it is longer than `limit` characters."""
    half = (limit - 3) // 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"


def pretty(value: typing.Any) -> str:
    """Returns a JSON block, cut off where it is very long."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > _MAX_JSON:
        return f"{text[:_MAX_JSON]}\n… and {len(text) - _MAX_JSON:,} more characters"
    return text


def finite(value: typing.Any) -> typing.Any:
    """Returns JSON values with None for what is not finite, and six digits of every float."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def shorten_paths(value: typing.Any, workspace: pathlib.Path) -> typing.Any:
    """Returns JSON values in which an absolute path says no more than a reader elsewhere can use.

    Args:
        value: Any JSON value.
        workspace: Becomes {workspace} in paths below it; of others, the last two parts are kept.
    """
    if isinstance(value, dict):
        return {key: shorten_paths(item, workspace) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shorten_paths(item, workspace) for item in value]
    found = _ABSOLUTE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return value
    reader, path = found[1] or "", found[2]
    return reader + _shorten_path(path, str(workspace))


def last_parts(path: str) -> str:
    """Returns the last two parts of a path or URL."""
    return "/".join([part for part in re.split(r"[/\\]+", path) if part][-2:])


def _shorten_path(path: str, root: str) -> str:
    if len(root) > 1 and (path == root or path.startswith((root + "/", root + "\\"))):
        return "{workspace}" + path[len(root) :].replace("\\", "/")
    return f"…/{last_parts(path)}"
