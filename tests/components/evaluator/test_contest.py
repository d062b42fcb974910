"""A model against the last blessed one, on all examples and on slices."""

import numpy as np
import pytest
from judged import decide, make_evaluation, make_examples

ACCURACY = {"metric": "accuracy", "at_least": 0.5}
LAST = {"model": "last_blessed"}
TRUTH = np.arange(400) % 2


@pytest.fixture
def contest(tmp_path):
    """Blesses a model that is right on some examples, after one that was right on others."""

    def contest(new, old, bless=ACCURACY, against=LAST, **judge):
        brightness = np.arange(400, dtype=np.float32)
        examples = make_examples(tmp_path / "examples", label=TRUTH, brightness=brightness)
        evaluation = make_evaluation(tmp_path / "new", TRUTH, new)
        before = make_evaluation(tmp_path / "old", TRUTH, old)
        return decide(tmp_path / "b", evaluation, examples, before, bless=bless, against=against, **judge)

    return contest


def right(share, but=()):
    """Returns a model that is right on a share of the examples, spread evenly, but not on some."""
    answers = (np.arange(400) * 7919) % 400 < 400 * share
    answers[list(but)] = False
    return answers


def test_a_better_model_is_blessed(contest):
    blessing = contest(right(0.95), right(0.8))
    document = blessing.read()
    assert document["blessed"] is True
    found = document["comparison"]
    assert (found["verdict"], found["passed"], found["probability"]) == ("better", True, 1.0)
    assert (found["value"], found["baseline"]) == pytest.approx((0.95, 0.8))
    assert found["gain"]["value"] == pytest.approx(0.15)
    assert 0.1 < found["gain"]["low"] < 0.15 < found["gain"]["high"] < 0.2
    assert "gate" not in blessing.properties


def test_a_worse_model_is_not_though_it_passes_the_checks(contest):
    blessing = contest(right(0.8), right(0.95), against={**LAST, "undecided": "bless"})
    document = blessing.read()
    assert document["checks"][0]["passed"] is True
    assert (document["blessed"], document["comparison"]["verdict"]) == (False, "worse")
    reason = blessing.properties["gate"]["reason"]
    assert "it is worse than the last blessed model (accuracy 0.8000 after 0.9500; gain -0.1500 [" in reason
    assert blessing.properties["summary"] == {"blessed": False}


@pytest.mark.parametrize(
    ("against", "blessed"), [({}, False), ({"undecided": "bless"}, True), ({"margin": 0.05}, True)]
)
def test_an_undecided_contest_keeps_the_old_model_unless_told(contest, against, blessed):
    new = right(0.9)
    new[:2] = ~new[:2]
    blessing = contest(new, right(0.9), against={**LAST, **against})
    assert blessing.read()["blessed"] is blessed
    verdict = "not worse" if "margin" in against else "undecided"
    assert blessing.read()["comparison"]["verdict"] == verdict
    if not blessed:
        assert "is undecided" in blessing.properties["gate"]["reason"]
        assert "evaluator.against.undecided=bless" in blessing.properties["gate"]["fix"]


def test_better_on_the_whole_and_worse_on_a_slice_is_not_blessed(contest):
    """The new model is right on all but 30 of the darkest third, of which the old one erred on few."""
    dark = range(0, 60, 2)  # all of them cats
    old = right(0.8)
    old[:134] = True
    blessing = contest(right(1.0, but=dark), old, slices=["brightness", "class"])
    document = blessing.read()
    assert document["comparison"]["verdict"] == "better"
    assert document["blessed"] is False
    assert [row["name"] for row in document["slices"] if row["worse"]] == ["brightness low (0 to 133)"]
    reason = blessing.properties["gate"]["reason"]
    assert "worse than the last blessed model on brightness low (0 to 133) (accuracy: gain -0.2239" in reason
    low, middle, high, cat, dog = document["slices"]
    assert (low["examples"], middle["examples"], high["examples"]) == (134, 133, 133)
    assert low["value"] == pytest.approx(1 - 30 / 134)
    assert low["low"] < low["value"] < low["high"]
    assert (cat["name"], dog["name"]) == ("class cat", "class dog")
    assert cat["examples"] == 200
    assert cat["value"] == pytest.approx(0.85)
    assert document["slices_left_out"] == 0


def test_margin_holds_for_slices_too(contest):
    old = right(0.8)
    old[:134] = True
    new = right(1.0, but=range(0, 60, 2))
    assert contest(new, old, against={**LAST, "margin": 0.5}, slices=["brightness"]).read()["blessed"]


def test_equal_slices_are_not_told_to_be_worse(contest):
    new, old = right(0.9), right(0.9)
    new[::40], old[1::40] = ~new[::40], ~old[1::40]
    document = contest(new, old, slices=["class", "brightness"]).read()
    assert [row["worse"] for row in document["slices"]] == [False] * 5


def test_slices_without_a_model_to_beat_are_told(tmp_path):
    examples = make_examples(tmp_path / "examples", label=TRUTH)
    evaluation = make_evaluation(tmp_path / "new", TRUTH, right(0.9))
    document = decide(tmp_path / "b", evaluation, examples, bless=ACCURACY, slices=["class"]).read()
    assert (document["blessed"], document["comparison"]) == (True, None)
    assert [row["gain"] for row in document["slices"]] == [None, None]


def test_average_precision_of_a_class_is_its_own_metric(contest):
    check = {"metric": "average_precision_macro", "at_least": 0}
    document = contest(right(0.95), right(0.9), bless=check, slices=["class"]).read()
    assert [row["metric"] for row in document["slices"]] == ["average_precision/cat", "average_precision/dog"]
    whole = document["comparison"]["value"]
    assert np.mean([row["value"] for row in document["slices"]]) == pytest.approx(whole)


def test_the_first_check_says_by_what_to_compare_and_which_way(contest):
    checks = [{"metric": "ece", "at_most": 0.5}, ACCURACY]
    document = contest(right(0.9), right(0.6), bless=checks).read()
    found = document["comparison"]
    assert (found["metric"], found["verdict"]) == ("ece", "better")
    assert found["gain"]["value"] == pytest.approx(found["baseline"] - found["value"])


def test_same_bytes_again(contest, tmp_path):
    first = contest(right(0.95), right(0.9), slices=["class", "brightness"])
    examples = make_examples(tmp_path / "e2", label=TRUTH, brightness=np.arange(400, dtype=np.float32))
    evaluation = make_evaluation(tmp_path / "n2", TRUTH, right(0.95))
    before = make_evaluation(tmp_path / "o2", TRUTH, right(0.9))
    kinds = ["class", "brightness"]
    again = decide(tmp_path / "c", evaluation, examples, before, bless=ACCURACY, against=LAST, slices=kinds)
    assert again.read() == first.read()
