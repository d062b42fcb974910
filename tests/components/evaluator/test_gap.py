"""The gap between splits, on what the exported model answers."""

import numpy as np
import pytest
from small_run import CLASSES

from conveyor.components.datasets import read_split, replay
from conveyor.components.evaluator.gap import gap
from conveyor.components.evaluator.predict import predict
from conveyor.components.evaluator.saved_model import open_served
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task

SETTINGS = EvaluatorSettings(task={}, judge={"bootstrap": 50})
TASK = make_task(ClassificationSettings(), CLASSES)


@pytest.fixture(scope="module")
def served(run):
    return open_served(run.model.saved_model)


def judged(run):
    return run.evaluation.read()["metrics"]


def test_the_judged_split_has_the_metrics_of_the_evaluation(run, served):
    found = gap(run.examples, served, TASK, SETTINGS, judged(run))
    assert list(found) == ["train", "validation", "test"]
    assert found["test"] == {name: value for name, value in judged(run).items() if "/" not in name}
    assert found["train"].keys() == found["test"].keys()
    assert found["train"]["accuracy"] != found["test"]["accuracy"]


def test_other_splits_are_measured_as_if_they_were_judged(run, served):
    found = predict(run.examples, served, TASK, SETTINGS.judge.model_copy(update={"split": "train"}))
    expected = TASK.evaluate(found.records, 50, SETTINGS.seed)
    measured = gap(run.examples, served, TASK, SETTINGS, {})["train"]
    assert measured == {name: value for name, value in expected.items() if "/" not in name}


def test_larger_splits_are_thinned_evenly_and_the_same_every_time(run, served):
    found = gap(run.examples, served, TASK, SETTINGS, {}, most=20)
    assert found == gap(run.examples, served, TASK, SETTINGS, {}, most=20)
    whole = gap(run.examples, served, TASK, SETTINGS, {})
    assert found["validation"] == whole["validation"], "18 examples are few enough"
    rows = list(read_split(run.examples, "train").as_numpy_iterator())[::3]  # 16 of 48
    right = []
    for batch, outputs in replay(served, read_split(run.examples, "train"), TASK, 128):
        taken = np.isin(batch["id"], [row["id"].decode() for row in rows])
        right += (outputs["class_id"] == batch["truth"])[taken].tolist()
    assert len(right) == 16
    assert found["train"]["accuracy"]["value"] == pytest.approx(np.mean(right))


def test_splits_without_examples_are_left_out(run, served):
    properties = {**run.examples.properties, "splits": {"train": 48, "validation": 0, "test": 0}}
    examples = type(run.examples)(run.examples.path, properties)
    assert list(gap(examples, served, TASK, SETTINGS, {})) == ["train", "test"]
