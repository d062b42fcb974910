"""Which earlier model the new one must beat."""

import pytest

from conveyor.components.artifacts import Evaluation, Examples, Model
from conveyor.components.evaluator.baseline import last_blessed
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.stage import PastRun

CHECK = {"metric": "accuracy", "at_least": 0.5}
CLASSIFY, DENOISE = {"kind": "classification"}, {"kind": "reconstruction", "noise": 0.2, "normal": []}


@pytest.fixture
def past(tmp_path):
    """Makes an earlier run; its artifacts are named by the text they hold."""

    def past(model, examples="data", *, blessed=True, split="test", task=CLASSIFY):
        named = {Model: model, Examples: examples, Evaluation: f"{model} {split} {task['kind']}"}
        artifacts = {}
        for kind, name in named.items():
            artifact = kind(tmp_path / kind.__name__ / name, {"of": name})
            artifact.path.mkdir(parents=True, exist_ok=True)
            if kind is Evaluation:
                artifact.write({"split": split, "task": task})
            seal(artifact, {})
            artifacts[kind.type_name()] = artifact
        return PastRun({"blessed": blessed}, artifacts)

    return past


def choose(now, *runs, task=CLASSIFY, **judge):
    judge = {"bless": CHECK, "against": {"model": "last_blessed"}, **judge}
    settings = EvaluatorSettings(task=task, judge=judge)
    inputs = {"examples": now.artifacts["Examples"], "model": now.artifacts["Model"]}
    found = last_blessed(settings, inputs, runs)
    return found and found.properties["of"].partition(" ")[0]


def test_the_last_blessed_model(past):
    assert choose(past("now"), past("new"), past("old")) == "new"
    assert choose(past("now"), past("new", blessed=False), past("old")) == "old"
    assert choose(past("now"), past("new", blessed=None)) is None
    assert choose(past("now")) is None


def test_none_unless_asked(past):
    assert choose(past("now"), past("old"), against={"model": "none"}) is None


def test_the_same_model_again_is_judged_as_it_was(past):
    """So that the verdict on an unchanged run comes from the cache."""
    runs = past("old"), past("older")
    assert choose(past("now"), *runs) == choose(past("now"), past("now"), *runs) == "old"
    assert choose(past("old"), past("now"), past("old")) == "now"


def test_only_on_the_same_questions(past):
    assert choose(past("now"), past("new", examples="others"), past("old")) == "old"
    assert choose(past("now"), past("new", split="validation"), past("old")) == "old"
    assert choose(past("now"), past("new", task=DENOISE), past("old")) == "old"
    assert choose(past("now"), past("new", task=DENOISE), task=DENOISE) == "new"
    assert choose(past("now"), past("new", task=DENOISE), task={**DENOISE, "noise": 0.3}) is None
    assert choose(past("now"), past("new", task=DENOISE), task={**DENOISE, "loss": "mse"}) == "new"


def test_an_evaluation_that_is_gone(past):
    new = past("new")
    (new.artifacts["Evaluation"].path / "evaluation.json").unlink()
    assert choose(past("now"), new, past("old")) == "old"
