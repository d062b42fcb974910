"""The verdict on a model: checks, comparison with the last blessed model, slices."""

import typing

from conveyor.components.artifacts import Blessing, Evaluation, Examples
from conveyor.components.evaluator.contest import Contest
from conveyor.components.evaluator.settings import CheckSettings, EvaluatorSettings
from conveyor.models.tasks.task import Metrics
from conveyor.pipeline.errors import UserError, did_you_mean

_Document = dict[str, typing.Any]
_IMPROVE = "improve the model, or change the limit in evaluator.bless if you mean it"
_BEAT = "improve the model; the last blessed one is kept"
_DECIDE = (
    "judge on more examples, or let such models pass by evaluator.against.margin (worse by less than that)"
    " or evaluator.against.undecided=bless"
)


def bless(
    evaluation: Evaluation, examples: Examples, settings: EvaluatorSettings, baseline: str, blessing: Blessing
) -> None:
    """Fills a Blessing artifact; closes its gate where the model does not pass.

    Args:
        evaluation: Of the model.
        examples: What it was judged on.
        settings: What is asked of it.
        baseline: Directory of the Evaluation of the model to beat; "" for none.
        blessing: The output.

    Raises:
        UserError: A metric was not measured, has no value or no interval, or slices cannot be cut.
    """
    how, metrics = settings.judge, evaluation.read()["metrics"]
    checks = [_check(metrics, check) for check in how.bless]
    comparison: _Document | None = None
    slices: list[_Document] = []
    left_out = 0
    if baseline or how.slices:
        before = Evaluation.load(baseline) if baseline else None
        contest = Contest(evaluation, before, examples, settings)
        comparison = contest.whole()
        slices, left_out = contest.slices()
    problems = [(_tell_check(check), _IMPROVE) for check in checks if not check["passed"]]
    if comparison and not comparison["passed"]:
        problems.append((_tell(comparison), _DECIDE if comparison["verdict"] == "undecided" else _BEAT))
    problems += [(_tell_slice(row), _BEAT) for row in slices if row["worse"]]
    blessing.write(
        {
            "blessed": not problems,
            "reasons": [reason for reason, _ in problems],
            "checks": checks,
            "against": how.against.model,
            "comparison": comparison,
            "slices": slices,
            "slices_left_out": left_out,
        }
    )
    blessing.properties["summary"] = {"blessed": not problems}
    if problems:
        blessing.close_gate(
            f"the model is not blessed: {'; '.join(reason for reason, _ in problems)}", problems[0][1]
        )


# === checks ===


def _check(metrics: Metrics, check: CheckSettings) -> _Document:
    """Returns a check with what was found, and whether it is passed."""
    found = _find(metrics, check)
    limit = typing.cast(float, check.at_least if check.sign == 1 else check.at_most)
    end = found["value"]
    if check.by == "interval":
        end = found["low" if check.sign == 1 else "high"]
        if end is None:
            raise UserError(
                f"evaluator.bless: {check.metric!r} has no interval on this split",
                fix="check it by: value, or judge on more examples",
            )
    passed = check.sign * typing.cast(float, end) >= check.sign * limit
    return {**check.model_dump(exclude_none=True), "passed": passed, **found}


def _find(metrics: Metrics, check: CheckSettings) -> dict[str, float | None]:
    """Returns value and interval of a metric."""
    if check.metric not in metrics:
        raise UserError(
            f"evaluator.bless.metric: {check.metric!r} was not measured",
            fix=did_you_mean(check.metric, metrics),
        )
    if metrics[check.metric]["value"] is None:
        raise UserError(
            f"evaluator.bless.metric: {check.metric!r} has no value on this split",
            fix="add examples of what it measures to the split, or bless by another metric",
        )
    return metrics[check.metric]


# === words ===


def _tell_check(check: _Document) -> str:
    limit = f"at least {check['at_least']:g}" if "at_least" in check else f"at most {check['at_most']:g}"
    # without resampling there is no interval
    interval = "" if check["low"] is None else f" [{check['low']:.4f}, {check['high']:.4f}]"
    whole = ", with its whole interval" if check["by"] == "interval" else ""
    return f"{check['metric']} is {check['value']:.4f}{interval}, and must be {limit}{whole}"


def _tell(comparison: _Document) -> str:
    verdicts = {
        "worse": "it is worse than the last blessed model",
        "undecided": "whether it is better than the last blessed model is undecided",
    }
    values = f"{comparison['metric']} {comparison['value']:.4f} after {comparison['baseline']:.4f}"
    chance = f"better with probability {comparison['probability']:.3f}"
    return f"{verdicts[comparison['verdict']]} ({values}; {_tell_gain(comparison)}; {chance})"


def _tell_slice(row: _Document) -> str:
    return f"it is worse than the last blessed model on {row['name']} ({row['metric']}: {_tell_gain(row)})"


def _tell_gain(row: _Document) -> str:
    gain = row["gain"]
    return f"gain {gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"
