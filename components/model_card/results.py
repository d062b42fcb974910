"""What a run has produced, as far as it came; and the verdict on it."""

import dataclasses
import typing

from conveyor.components.artifacts import (
    Anomalies,
    Blessing,
    Evaluation,
    Examples,
    Formats,
    InfraBlessing,
    Model,
    PushedModel,
    Statistics,
    TransformGraph,
)
from conveyor.components.model_card.text import last_parts, number, plural
from conveyor.components.pusher.push import describe

# Stage -> its outputs that a card is made of, in the order in which stages run.
_DATA_STAGES = {
    "example_gen": ("examples",),
    "statistics_gen": ("statistics",),
    "example_validator": ("anomalies",),
}
_STAGES = {
    **_DATA_STAGES,
    "transform": ("transform_graph",),
    "trainer": ("model",),
    "evaluator": ("evaluation", "blessing"),
    "infra_validator": ("infra_blessing",),
    "pusher": ("pushed",),
}


@dataclasses.dataclass(frozen=True)
class Results:
    """The inputs of the card; None where the run did not get that far."""

    examples: Examples
    statistics: Statistics | None = None
    anomalies: Anomalies | None = None
    transform_graph: TransformGraph | None = None
    model: Model | None = None
    evaluation: Evaluation | None = None
    blessing: Blessing | None = None
    infra_blessing: InfraBlessing | None = None
    pushed: PushedModel | None = None
    formats: Formats | None = None


@dataclasses.dataclass(frozen=True)
class Statement:
    """One part of the verdict.

    Args:
        tone: "good", "bad", or "open" where nothing is known.
        short: The verdict in a few words.
        long: What it rests on.
    """

    tone: str
    short: str
    long: str


def find_stop(results: Results, data_only: bool) -> dict[str, typing.Any] | None:
    """Returns where and why a run ended early.

    Args:
        results: What the run produced.
        data_only: Whether the experiment ends with the check of its data.

    Returns:
        `stage` that closed its gate (or ""), `reason`, `fix`, and `missing`: the stages that did
        not run. None for a run that went all the way.
    """
    stages = _DATA_STAGES if data_only else _STAGES
    gates = {
        stage: gate
        for stage, names in stages.items()
        for name in names
        if (gate := getattr(getattr(results, name), "properties", {}).get("gate"))
    }
    missing = [
        stage for stage, names in stages.items() if all(getattr(results, name) is None for name in names)
    ]
    if not gates and not missing:
        return None
    stage, gate = next(iter(gates.items()), ("", {"reason": "", "fix": ""}))
    return {"stage": stage, "reason": gate["reason"], "fix": gate["fix"], "missing": missing}


def find_verdict(results: Results, data_only: bool) -> list[Statement]:
    """Returns whether the model is blessed, proved and pushed; without a model, whether the data passed.

    Args:
        results: What the run produced.
        data_only: Whether the experiment has no model.
    """
    return [_checked(results)] if data_only else [_blessed(results), _proved(results), _pushed(results)]


def _checked(results: Results) -> Statement:
    if results.anomalies is None:
        return Statement("open", "Data not checked", "The run did not get as far as a check.")
    severities = [anomaly["severity"] for anomaly in results.anomalies.read()]
    errors, warnings = severities.count("error"), severities.count("warning")
    examples = sum(results.examples.properties["splits"].values())
    found = f"{plural(errors, 'error')} and {plural(warnings, 'warning')} in {plural(examples, 'example')}."
    if errors:
        return Statement("bad", f"Data checked: {plural(errors, 'error')}", found)
    return Statement("good", "Data checked: passed", found)


def _blessed(results: Results) -> Statement:
    if results.blessing is None:
        return Statement("open", "Not judged", "The run did not get as far as a judgement.")
    document = results.blessing.read()
    found = [_check(check) for check in document["checks"]]
    if comparison := document.get("comparison"):
        found.append(tell_contest(comparison).rstrip("."))
    found += [f"worse on {row['name']}" for row in document.get("slices") or [] if row["worse"]]
    text = f"{'; '.join(found)}." if found else "No check was asked for."
    return (
        Statement("good", "Blessed", text) if document["blessed"] else Statement("bad", "Not blessed", text)
    )


def _check(check: dict[str, typing.Any]) -> str:
    words = ("reaches", "does not reach") if "at_least" in check else ("is at most", "is above")
    limit = check.get("at_least", check.get("at_most"))
    end = "" if check["passed"] or check.get("by") != "interval" else " with its whole interval"
    relation = words[0] if check["passed"] else words[1]
    return f"{check['metric']} {number(check['value'])} {relation} {limit:g}{end}"


def tell_contest(comparison: dict[str, typing.Any]) -> str:
    """Returns a sentence on the contest of the model with the last blessed one."""
    verdicts = {
        "better": "better than the last blessed model",
        "not worse": f"not worse than the last blessed model by {comparison['margin']:g} or more",
        "worse": "worse than the last blessed model",
        "undecided": "neither shown to be better nor worse than the last blessed model",
    }
    gain = comparison["gain"]
    return (
        f"{comparison['metric']} {number(comparison['value'])} after {number(comparison['baseline'])}:"
        f" {verdicts[comparison['verdict']]} (gain {number(gain['value'])}, 95% interval"
        f" {number(gain['low'])} to {number(gain['high'])}; better with probability"
        f" {number(comparison['probability'])})."
    )


def _proved(results: Results) -> Statement:
    if results.infra_blessing is None:
        return Statement("open", "Not proved", "The saved model was not tried in a process of its own.")
    document = results.infra_blessing.read()
    tried = f"A fresh process served {plural(document['examples'], 'example')} from their raw bytes"
    largest = number(document.get("largest_difference"))
    if document["blessed"]:
        text = f"{tried} and gave the evaluated answers (largest difference {largest})."
        return Statement("good", "Proved on served bytes", text)
    why = document.get("reason") or f"largest difference {largest}"
    text = f"{tried}, and its answers are not the evaluated ones: {why}."
    return Statement("bad", "Not proved on served bytes", text)


def _pushed(results: Results) -> Statement:
    if results.pushed is None:
        return Statement("open", "Not pushed", "No server was given this model.")
    document = results.pushed.read()
    version = str(document["version"])
    base = document["destination"].rstrip("/").removesuffix(f"/{version}")
    text = f"Version {version} in {last_parts(base)}."
    if document["against"]:
        told = describe(document["against"])
        text += f" {told[0].upper()}{told[1:]}."
    return Statement("good", "Pushed", text)
