import pytest
from small_run import CLASSES, COUNTS

from conveyor.components.commands.evaluate import evaluate_model
from conveyor.pipeline.errors import UserError


@pytest.fixture(scope="module")
def config(run, tmp_path_factory):
    """A config whose data is that of the small run."""
    path = tmp_path_factory.mktemp("command") / "small.yaml"
    text = f"data: {{source: 'folder:{run.source}'}}\nmodel: {{family: linear}}\n"
    path.write_text(text + "evaluator: {bootstrap: 50}\n", encoding="utf-8")
    return path


def evaluate(model, config, *overrides, split=None):
    return evaluate_model(str(model), str(config), overrides, config.parent / "workspace", split)


def test_exported_model_is_measured_as_the_evaluator_does(run, config):
    document = evaluate(run.model.path, config)
    expected = run.evaluation.read()
    del expected["plots"]
    expected["gap"] = {}  # only of the model of a run
    assert document == expected


def test_another_split_may_be_asked_for(run, config):
    document = evaluate(run.model.saved_model, config, split="validation")
    assert (document["split"], document["examples"]) == ("validation", COUNTS["validation"] * len(CLASSES))
    document = evaluate(run.model.saved_model, config, "evaluator.split=train", "evaluator.bootstrap=0")
    assert (document["split"], document["examples"]) == ("train", COUNTS["train"] * len(CLASSES))
    assert document["metrics"]["accuracy"]["low"] is None


def test_wrong_split_model_and_data_are_user_errors(run, config, tmp_path):
    with pytest.raises(UserError, match="no split 'tset'"):
        evaluate(run.model.path, config, split="tset")
    with pytest.raises(UserError, match="no exported model"):
        evaluate(tmp_path, config)
    with pytest.raises(UserError, match="does not exist"):
        evaluate(run.model.path, config, "data.source=folder:/nowhere/at/all")


def test_model_of_other_classes_is_a_user_error(run, config):
    with pytest.raises(UserError, match="cannot be judged") as caught:
        evaluate(run.model.path, config, "data.source=digits")
    assert "for 10 classes" in caught.value.received
