"""What the verdict on a model rests on: checks, the contest with the last blessed model, slices, looks."""

import typing

from conveyor.components.model_card.figures import Figure, chart
from conveyor.components.model_card.results import Results, tell_contest
from conveyor.components.model_card.settings import ChosenSettings
from conveyor.components.model_card.text import number, plural

Section = dict[str, typing.Any]

_NO_RIVAL = "There is no other model that was blessed on the same examples, so the checks alone decided."


def blessing_section(
    results: Results, lineage: list[Section], chosen: ChosenSettings | None = None
) -> Section | None:
    """Returns the section on the verdict; None where the model was not judged.

    Args:
        results: What the run produced.
        lineage: What the engine knows of the executions behind the card.
        chosen: The sweep that chose the settings.

    Returns:
        `checks` (with `limit` as text), `sentences`, `figures` and `slices` (rows; `compared` says
        whether they have gains).
    """
    if results.blessing is None:
        return None
    document = results.blessing.read()
    comparison, slices = document.get("comparison"), document.get("slices") or []
    compared = [row for row in slices if row["gain"]]
    left_out = document.get("slices_left_out", 0)
    sentences = [
        tell_contest(comparison) if comparison else "",
        _NO_RIVAL if document.get("against") == "last_blessed" and not comparison else "",
        _tell_slices(compared) if compared else "",
        f"{plural(left_out, 'slice')} of fewer than 30 examples left out." if left_out else "",
        _tell_looks(results, lineage),
        _tell_choice(chosen) if chosen else "",
    ]
    return {
        "checks": [{**check, "limit": _limit(check)} for check in document["checks"]],
        "sentences": [sentence for sentence in sentences if sentence],
        "figures": [_gains(comparison, compared)] if comparison else [],
        "slices": slices,
        "compared": comparison is not None,
    }


def _tell_choice(chosen: ChosenSettings) -> str:
    value, optimism, corrected = map(number, (chosen.value, chosen.optimism, chosen.corrected))
    return (
        f"These settings are the best of {plural(chosen.candidates, 'candidate')} of the sweep {chosen.sweep}"
        f" by {chosen.metric} on {chosen.split}, where they have {value}. As they were chosen by it, that"
        f" is expected to be too good by {optimism}: of new examples, {corrected} is to be expected."
    )


def _limit(check: Section) -> str:
    limit = f"at least {check['at_least']:g}" if "at_least" in check else f"at most {check['at_most']:g}"
    return f"{limit}, whole interval" if check.get("by") == "interval" else limit


def _gains(comparison: Section, slices: list[Section]) -> Figure:
    """Draws the gain on all examples, and on each slice."""
    rows = [{"name": "all examples", **comparison}, *slices]
    return chart(
        {
            "kind": "bars",
            "title": "Gain over the last blessed model",
            "caption": "Right of 0 the new model is better, left of it the old one.",
            "x": f"gain in {comparison['metric']}",
            "y": "examples",
            "items": [{"name": row["name"], **row["gain"]} for row in rows],
        }
    )


def _tell_slices(slices: list[Section]) -> str:
    worse = [row["name"] for row in slices if row["worse"]]
    found = f"worse on {', '.join(worse)}" if worse else "on none of the slices shown to be worse"
    return (
        f"The new model is {found}. By Holm's correction for {plural(len(slices), 'comparison')}, a model"
        " that is worse on none is told to be worse on any with a chance of at most 2.5%; so a single"
        " interval left of 0 is not enough."
    )


def _tell_looks(results: Results, lineage: list[Section]) -> str:
    """Tells how often the labels that the model was judged by had been used before."""
    if results.evaluation is None:
        return ""
    split, digest = results.evaluation.read()["split"], results.evaluation.digest
    numbers = [
        look["number"]
        for record in lineage
        if digest in record["outputs"].values()
        for look in record.get("looks", [])
        if look["split"] == split and look["purpose"] == "report"
    ]
    if not numbers:
        return ""
    if numbers[0] == 1:
        return f"This was the first time that the labels of {split} were used to report on a model."
    return (
        f"The labels of {split} had been used to report {plural(numbers[0] - 1, 'time')} before. Each choice"
        " made after such a look makes the figures above a little too good."
    )
