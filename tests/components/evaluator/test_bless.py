import pytest
from small_run import evaluate, new

from conveyor.components.artifacts import Blessing
from conveyor.components.evaluator.bless import bless
from conveyor.components.evaluator.settings import BlessSettings
from conveyor.pipeline.errors import UserError

METRICS = {
    "accuracy": {"value": 0.9, "low": 0.85, "high": 0.94},
    "average_precision_macro": {"value": 0.8, "low": 0.7, "high": 0.9},
    "average_precision/rare": {"value": None, "low": None, "high": None},
    "ece": {"value": 0.1, "low": None, "high": None},
}


def decide(tmp_path, metric, at_least):
    blessing = new(tmp_path, Blessing)
    bless(METRICS, BlessSettings(metric=metric, at_least=at_least), blessing)
    return blessing


@pytest.mark.parametrize("at_least", [0.5, 0.9])
def test_metric_that_reaches_its_threshold_passes(tmp_path, at_least):
    blessing = decide(tmp_path, "accuracy", at_least)
    check = {"metric": "accuracy", "at_least": at_least, "passed": True, **METRICS["accuracy"]}
    assert blessing.read() == {"blessed": True, "checks": [check]}
    assert blessing.properties == {"summary": {"blessed": True}}


def test_metric_below_its_threshold_closes_the_gate(tmp_path):
    blessing = decide(tmp_path, "accuracy", 0.9000001)
    document = blessing.read()
    assert document["blessed"] is False
    assert document["checks"][0]["passed"] is False
    assert blessing.properties["summary"] == {"blessed": False}
    reason = blessing.properties["gate"]["reason"]
    assert "accuracy is 0.9000 [0.8500, 0.9400], and must be at least 0.9" in reason


def test_gate_says_so_without_an_interval(tmp_path):
    reason = decide(tmp_path, "ece", 0.5).properties["gate"]["reason"]
    assert reason.endswith("ece is 0.1000, and must be at least 0.5")


def test_without_threshold_every_model_passes(tmp_path):
    blessing = new(tmp_path, Blessing)
    bless(METRICS, None, blessing)
    assert blessing.read() == {"blessed": True, "checks": []}
    assert "gate" not in blessing.properties


def test_unknown_metric_is_a_user_error_with_near_names(tmp_path):
    with pytest.raises(UserError, match="'acuracy' was not measured") as caught:
        decide(tmp_path, "acuracy", 0.5)
    assert "'accuracy'" in caught.value.fix


def test_metric_without_value_is_a_user_error_that_says_why(tmp_path):
    with pytest.raises(UserError, match="'average_precision/rare' has no value") as caught:
        decide(tmp_path, "average_precision/rare", 0.5)
    assert "did you mean" not in caught.value.fix
    assert not list(tmp_path.rglob("blessing.json"))


@pytest.mark.parametrize(("at_least", "blessed"), [(0.4, True), (1.01, False)])
def test_stage_blesses_by_what_it_measured(run, tmp_path, at_least, blessed):
    threshold = {"metric": "accuracy", "at_least": at_least}
    evaluation, blessing = evaluate(tmp_path, run.examples, run.model, bless=threshold)
    document = blessing.read()
    assert document["blessed"] is blessed
    assert document["checks"][0]["value"] == evaluation.read()["metrics"]["accuracy"]["value"]
    assert ("gate" in blessing.properties) is not blessed
