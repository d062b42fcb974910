"""The verdict on a model."""

import typing

from conveyor.components.artifacts import Blessing
from conveyor.components.evaluator.settings import BlessSettings
from conveyor.pipeline.errors import UserError, did_you_mean


def bless(metrics: dict[str, typing.Any], threshold: BlessSettings | None, blessing: Blessing) -> None:
    """Fills a Blessing artifact; closes its gate where a metric does not reach its threshold.

    Raises:
        UserError: There is no such metric, or it has no value.
    """
    checks = []
    if threshold:
        found = _find(metrics, threshold.metric)
        passed = found["value"] >= threshold.at_least
        checks.append({"metric": threshold.metric, "at_least": threshold.at_least, "passed": passed, **found})
    blessed = all(check["passed"] for check in checks)
    blessing.write({"blessed": blessed, "checks": checks})
    blessing.properties["summary"] = {"blessed": blessed}
    if not blessed:
        blessing.close_gate(
            f"the model is not blessed: {_tell(checks[0])}",
            "improve the model, or lower evaluator.bless.at_least if you mean it",
        )


def _find(metrics: dict[str, typing.Any], name: str) -> dict[str, typing.Any]:
    """Returns value and interval of a metric."""
    if name not in metrics:
        raise UserError(f"evaluator.bless.metric: {name!r} was not measured", fix=did_you_mean(name, metrics))
    if metrics[name]["value"] is None:
        raise UserError(
            f"evaluator.bless.metric: {name!r} has no value on this split",
            fix="add examples of what it measures to the split, or bless by another metric",
        )
    return metrics[name]


def _tell(check: dict[str, typing.Any]) -> str:
    # without resampling there is no interval
    interval = "" if check["low"] is None else f" [{check['low']:.4f}, {check['high']:.4f}]"
    return f"{check['metric']} is {check['value']:.4f}{interval}, and must be at least {check['at_least']:g}"
