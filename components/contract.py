"""The contract in an exported model, whoever made that."""

import json
import math
import pathlib
import typing

from conveyor.components.artifacts import CONTRACT
from conveyor.pipeline.errors import UserError

_MOST = 1 << 24  # bytes


def read_contract(saved_model: pathlib.Path) -> dict[str, typing.Any]:
    """Returns what the exporter says of a SavedModel, see `Model.contract`; {} where another made it.

    Args:
        saved_model: Its folder, also a remote one.

    Raises:
        UserError: It is there, and cannot be read.
    """
    path = saved_model / CONTRACT
    if not path.exists():
        return {}
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:
            raise ValueError("it is too large")
        document = json.loads(data)
        if not isinstance(document, dict) or not isinstance(document.get("input", {}), dict):
            raise ValueError("it is no mapping")
        _check_thresholds(document.get("thresholds", {}))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError("a contract cannot be read", received=str(error), where=str(path)) from None
    return document


def _check_thresholds(thresholds: typing.Any) -> None:
    values = thresholds.values() if isinstance(thresholds, dict) else [thresholds]
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise ValueError("its thresholds are no numbers")
