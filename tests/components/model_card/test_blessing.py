"""What the card says of the verdict."""

import html
import re

import pytest

from conveyor.components.model_card.blessing import blessing_section
from conveyor.components.model_card.results import Results, find_verdict
from conveyor.components.model_card.settings import ChosenSettings

GAIN = {"value": 0.012, "low": 0.004, "high": 0.02}
COMPARISON = {
    "metric": "accuracy",
    "value": 0.9871,
    "baseline": 0.9751,
    "evaluation": "abc",
    "gain": GAIN,
    "probability": 0.998,
    "verdict": "better",
    "margin": 0.0,
    "passed": True,
}


def row(name, gain=GAIN, worse=False):
    measured = {"metric": "accuracy", "value": 0.9, "low": 0.8, "high": 0.95}
    return {"name": name, "examples": 40, **measured, "gain": gain, "worse": worse}


def judged(run, looks=(), **changes):
    """Returns what is known of a run whose blessing document has been changed, and its lineage."""
    blessing = run.made["blessing"]
    blessing.write(blessing.read() | changes)
    run.seal()
    outputs = {"evaluation": run.made["evaluation"].digest}
    record = {**run.lineage()[0], "stage": "evaluator", "outputs": outputs, "looks": list(looks)}
    return Results(**run.made), [record]


def words(run, **changes):
    judged(run, **changes)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", run.card())).split())


def test_without_a_contest(run):
    section = blessing_section(*judged(run))
    assert [check["limit"] for check in section["checks"]] == ["at least 0.98"]
    assert (section["sentences"], section["figures"], section["slices"]) == ([], [], [])


def test_not_judged(run):
    run.made["blessing"] = None
    assert blessing_section(Results(**run.made), []) is None


@pytest.mark.parametrize(
    ("check", "told", "limit"),
    [
        ({"at_most": 0.05, "passed": True}, "ece 0.0213 is at most 0.05", "at most 0.05"),
        ({"at_most": 0.02, "passed": False}, "ece 0.0213 is above 0.02", "at most 0.02"),
        (
            {"at_least": 0.02, "passed": False, "by": "interval"},
            "ece 0.0213 does not reach 0.02 with its whole interval",
            "at least 0.02, whole interval",
        ),
    ],
)
def test_checks_of_all_kinds(run, check, told, limit):
    row = {"metric": "ece", "value": 0.0213, "low": 0.01, "high": 0.04, **check}
    results, lineage = judged(run, checks=[row], blessed=check["passed"])
    assert find_verdict(results, data_only=False)[0].long == f"{told}."
    assert blessing_section(results, lineage)["checks"][0]["limit"] == limit


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("better", "better than the last blessed model"),
        ("worse", "worse than the last blessed model"),
        ("undecided", "neither shown to be better nor worse"),
        ("not worse", "not worse than the last blessed model by 0.01 or more"),
    ],
)
def test_the_contest_is_told_in_numbers(run, verdict, told):
    comparison = {**COMPARISON, "verdict": verdict, "margin": 0.01}
    results, lineage = judged(run, comparison=comparison)
    sentence = blessing_section(results, lineage)["sentences"][0]
    assert sentence.startswith(f"accuracy 0.9871 after 0.9751: {told}")
    assert "(gain 0.0120, 95% interval 0.0040 to 0.0200; better with probability 0.9980)." in sentence
    assert told in find_verdict(results, data_only=False)[0].long


def test_slices_are_in_the_chart_and_in_the_table(run):
    loss = {"value": -0.1, "low": -0.2, "high": -0.02}
    slices = [row("class cat"), row("size low (3 to 9)", loss, True), row("class odd", None)]
    changes = {"comparison": COMPARISON, "slices": slices, "slices_left_out": 2, "blessed": False}
    results, lineage = judged(run, **changes)
    section = blessing_section(results, lineage)
    assert '"all examples"' in section["figures"][0].spec
    assert "size low (3 to 9)" in section["figures"][0].spec
    assert "class odd" not in section["figures"][0].spec
    assert "worse on size low (3 to 9). By Holm's correction for 2 comparisons" in section["sentences"][1]
    assert section["sentences"][2] == "2 slices of fewer than 30 examples left out."
    assert "worse on size low (3 to 9)" in find_verdict(results, data_only=False)[0].long
    text = words(run, **changes)
    assert "size low (3 to 9) 40 accuracy 0.9000 0.8000 – 0.9500 -0.1000 -0.2000 – -0.0200 worse" in text
    assert "class odd 40 accuracy 0.9000 0.8000 – 0.9500 – – –" in text


def test_slices_without_a_contest_have_no_gains(run):
    text = words(run, slices=[row("class cat", None)])
    assert "class cat 40 accuracy 0.9000 0.8000 – 0.9500 Serving proof" in text


def test_a_first_model_says_that_there_was_none_to_beat(run):
    assert (
        "the checks alone decided" in blessing_section(*judged(run, against="last_blessed"))["sentences"][0]
    )


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ([("train", "report", 9), ("test", "report", 1)], "the first time that the labels of test"),
        (
            [("test", "choose", 5), ("test", "report", 4)],
            "The labels of test had been used to report 3 times before",
        ),
    ],
)
def test_looks_at_the_judged_split(run, looks, told):
    looks = [dict(zip(("split", "purpose", "number"), look, strict=True)) for look in looks]
    results, lineage = judged(run, looks)
    assert told in blessing_section(results, lineage)["sentences"][0]
    assert blessing_section(results, [{**lineage[0], "outputs": {}}])["sentences"] == []


def test_names_of_slices_are_text(hostile_run):
    judged(hostile_run, comparison=COMPARISON, slices=[row(f"group {hostile_run.hostile}")])
    page = hostile_run.card()
    assert "<img src=x" not in page


def test_the_card_of_a_winner_tells_of_the_choice(run):
    chosen = ChosenSettings(
        sweep="cnn-1",
        candidates=12,
        metric="accuracy",
        split="validation",
        value=0.97,
        optimism=0.012,
        corrected=0.958,
    )
    (sentence,) = blessing_section(*judged(run), chosen)["sentences"]
    assert sentence == (
        "These settings are the best of 12 candidates of the sweep cnn-1 by accuracy on validation, where"
        " they have 0.9700. As they were chosen by it, that is expected to be too good by 0.0120: of new"
        " examples, 0.9580 is to be expected."
    )
