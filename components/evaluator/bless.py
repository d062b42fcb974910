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
        found = metrics.get(threshold.metric)
        if found is None or found["value"] is None:
            raise UserError(
                f"evaluator.bless.metric: {threshold.metric!r} was not measured",
                fix=did_you_mean(threshold.metric, metrics),
            )
        passed = found["value"] >= threshold.at_least
        checks.append({"metric": threshold.metric, "at_least": threshold.at_least, "passed": passed, **found})
    blessed = all(check["passed"] for check in checks)
    blessing.write({"blessed": blessed, "checks": checks})
    blessing.properties["summary"] = {"blessed": blessed}
    if not blessed:
        check = checks[0]
        blessing.close_gate(
            f"the model is not blessed: {check['metric']} is {check['value']:.4f}"
            f" [{check['low']:.4f}, {check['high']:.4f}], and must be at least {check['at_least']:g}",
            "improve the model, or lower evaluator.bless.at_least if you mean it",
        )
