import numpy as np
import pydantic
import pytest
from judged import decide
from small_run import evaluate, new

from conveyor.components.artifacts import Blessing, Evaluation, Examples
from conveyor.components.evaluator.bless import bless
from conveyor.components.evaluator.settings import CheckSettings, EvaluatorSettings, JudgeSettings
from conveyor.components.experiment import load_experiment
from conveyor.pipeline.config import parse_config
from conveyor.pipeline.errors import UserError

METRICS = {
    "accuracy": {"value": 0.9, "low": 0.85, "high": 0.94},
    "average_precision_macro": {"value": 0.8, "low": 0.7, "high": 0.9},
    "average_precision/rare": {"value": None, "low": None, "high": None},
    "ece": {"value": 0.1, "low": None, "high": None},
}
ACCURACY = {"metric": "accuracy", "at_least": 0.5}


def check(tmp_path, *checks):
    evaluation = new(tmp_path, Evaluation)
    evaluation.write({"metrics": METRICS})
    blessing = new(tmp_path, Blessing)
    settings = EvaluatorSettings(task={}, judge={"bless": list(checks)})
    bless(evaluation, Examples(tmp_path), settings, "", blessing)
    return blessing


@pytest.mark.parametrize("at_least", [0.5, 0.9])
def test_metric_that_reaches_its_threshold_passes(tmp_path, at_least):
    blessing = check(tmp_path, {"metric": "accuracy", "at_least": at_least})
    row = {"metric": "accuracy", "at_least": at_least, "by": "value", "passed": True, **METRICS["accuracy"]}
    assert blessing.read() == {
        "blessed": True,
        "reasons": [],
        "checks": [row],
        "against": "none",
        "comparison": None,
        "slices": [],
        "slices_left_out": 0,
    }
    assert blessing.properties == {"summary": {"blessed": True}}


def test_metric_below_its_threshold_closes_the_gate(tmp_path):
    blessing = check(tmp_path, {"metric": "accuracy", "at_least": 0.9000001})
    document = blessing.read()
    assert document["blessed"] is False
    assert document["checks"][0]["passed"] is False
    assert blessing.properties["summary"] == {"blessed": False}
    reason = blessing.properties["gate"]["reason"]
    assert "accuracy is 0.9000 [0.8500, 0.9400], and must be at least 0.9" in reason


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        ({"at_least": 0.85, "by": "interval"}, True),
        ({"at_least": 0.86, "by": "interval"}, False),
        ({"at_least": 0.86}, True),
        ({"at_most": 0.92}, True),
        ({"at_most": 0.92, "by": "interval"}, False),
        ({"at_most": 0.94, "by": "interval"}, True),
        ({"at_most": 0.89}, False),
    ],
)
def test_value_or_interval_must_keep_the_limit(tmp_path, limits, passed):
    blessing = check(tmp_path, {"metric": "accuracy", **limits})
    assert blessing.read()["blessed"] is passed
    if not passed:
        reason = blessing.properties["gate"]["reason"]
        assert ("at most 0." if "at_most" in limits else "at least 0.") in reason
        assert ("with its whole interval" in reason) is ("by" in limits)


def test_all_checks_must_be_passed(tmp_path):
    blessing = check(tmp_path, ACCURACY, {"metric": "ece", "at_most": 0.05}, {"metric": "ece", "at_least": 1})
    document = blessing.read()
    assert [row["passed"] for row in document["checks"]] == [True, False, False]
    reason = blessing.properties["gate"]["reason"]
    assert reason.endswith("ece is 0.1000, and must be at most 0.05; ece is 0.1000, and must be at least 1")


def test_without_threshold_every_model_passes(tmp_path):
    blessing = check(tmp_path)
    assert (blessing.read()["blessed"], blessing.read()["checks"]) == (True, [])
    assert "gate" not in blessing.properties


def test_unknown_metric_is_a_user_error_with_near_names(tmp_path):
    with pytest.raises(UserError, match="'acuracy' was not measured") as caught:
        check(tmp_path, {"metric": "acuracy", "at_least": 0.5})
    assert "'accuracy'" in caught.value.fix


def test_metric_without_value_is_a_user_error_that_says_why(tmp_path):
    with pytest.raises(UserError, match="'average_precision/rare' has no value") as caught:
        check(tmp_path, {"metric": "average_precision/rare", "at_least": 0.5})
    assert "did you mean" not in caught.value.fix
    assert not list(tmp_path.rglob("blessing.json"))


def test_metric_without_interval_cannot_be_checked_by_it(tmp_path):
    with pytest.raises(UserError, match="'ece' has no interval"):
        check(tmp_path, {"metric": "ece", "at_most": 0.5, "by": "interval"})


# === settings ===


def test_one_check_a_list_or_none():
    one = CheckSettings(**ACCURACY)
    assert JudgeSettings(bless=ACCURACY).bless == JudgeSettings(bless=[ACCURACY]).bless == [one]
    assert JudgeSettings(bless=None).bless == JudgeSettings().bless == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"bless": {"metric": "accuracy"}}, "one of the keys at_least, at_most"),
        ({"bless": {**ACCURACY, "at_most": 1}}, "one of the keys at_least, at_most"),
        ({"bless": {**ACCURACY, "at_least": float("nan")}}, "finite"),
        ({"slices": ["class"]}, "need a check"),
        ({"against": {"model": "last_blessed"}}, "need a check"),
        ({"bless": ACCURACY, "against": {"model": "last_blessed"}, "bootstrap": 0}, "need resamples"),
        ({"bless": {**ACCURACY, "by": "interval"}, "bootstrap": 0}, "need resamples"),
        ({"bless": ACCURACY, "slices": ["colour"]}, "'class'"),
    ],
)
def test_settings_that_cannot_be_met(values, told):
    with pytest.raises(pydantic.ValidationError, match=told):
        JudgeSettings(**values)


@pytest.mark.parametrize("text", ["bless: {metrc: a, at_least: 1}", "bless: [{metrc: a, at_least: 1}]"])
def test_an_unknown_key_of_a_check_is_told_with_its_line(text):
    with pytest.raises(UserError) as caught:
        parse_config(f"split: test\n{text}", "x.yaml", JudgeSettings)
    assert "metrc" in caught.value.what
    assert (caught.value.where, caught.value.fix) == ("x.yaml, line 2", "did you mean 'metric'?")


def test_a_shipped_check_can_be_overridden():
    experiment = load_experiment("digits_cnn", ["evaluator.bless.at_least=0.5", "evaluator.slices=[class]"])
    assert experiment.evaluator.bless[0].at_least == 0.5


# === stage ===


@pytest.mark.parametrize(("at_least", "blessed"), [(0.4, True), (1.01, False)])
def test_stage_blesses_by_what_it_measured(run, tmp_path, at_least, blessed):
    threshold = {"metric": "accuracy", "at_least": at_least}
    evaluation, blessing = evaluate(tmp_path, run.examples, run.model, bless=threshold)
    document = blessing.read()
    assert document["blessed"] is blessed
    assert document["checks"][0]["value"] == evaluation.read()["metrics"]["accuracy"]["value"]
    assert ("gate" in blessing.properties) is not blessed


def test_slices_of_real_examples(run, tmp_path):
    """Facts are found by the ids of the predictions; slices agree with the predictions themselves."""
    blessing = decide(tmp_path / "b", run.evaluation, run.examples, bless=ACCURACY, slices=["format"])
    assert blessing.read()["slices"] == []  # 20 PNGs and 10 JPEGs: too few to tell
    assert blessing.read()["slices_left_out"] == len({"JPEG", "PNG"})


def test_stage_compares_with_the_baseline(run, tmp_path):
    from conveyor.pipeline.stage import Context

    how = {"bless": ACCURACY, "against": {"model": "last_blessed"}}
    context = Context(baseline=str(run.evaluation.path))
    _, blessing = evaluate(tmp_path, run.examples, run.model, context=context, **how)
    found = blessing.read()["comparison"]
    assert found["gain"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert (found["verdict"], found["evaluation"]) == ("undecided", run.evaluation.digest)
    assert np.isclose(found["probability"], 0.5)
