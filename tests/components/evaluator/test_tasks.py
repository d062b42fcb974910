"""Tasks beside classification by the stages themselves, from data to an evaluation."""

import json

import numpy as np
import pytest
from small_run import CLASSES, make_graph, new, scratch, sealed

from conveyor.components.artifacts import Blessing, Evaluation, Examples, Model
from conveyor.components.datasets import read_learned, read_split, tell_left_out
from conveyor.components.evaluator.settings import EvaluatorSettings, JudgeSettings
from conveyor.components.evaluator.stage import evaluator
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.components.trainer.stage import trainer
from conveyor.components.transform.settings import TransformSettings
from conveyor.models.tasks.settings import ClassificationSettings, ReconstructionSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context


def fit(folder, examples, graph, task, model, **how):
    context, made = Context(scratch=scratch(folder)), new(folder, Model)
    how = {"epochs": 2, "batch_size": 8, "optimizer": {"learning_rate": 0.01}, **how}
    settings = TrainerSettings(task=task, model=model, fit=how)
    trainer(examples=examples, transform_graph=graph, model=made, settings=settings, context=context)
    return sealed(made), context


def judge(folder, examples, model, task):
    evaluation, blessing = new(folder, Evaluation), new(folder, Blessing)
    settings = EvaluatorSettings(task=task, judge={"bootstrap": 50})
    evaluator(
        examples=examples,
        model=model,
        evaluation=evaluation,
        blessing=blessing,
        settings=settings,
        context=Context(scratch=scratch(folder)),
    )
    return evaluation


@pytest.mark.slow
def test_several_classes_in_an_image(tmp_path):
    examples, task = new(tmp_path, Examples), {"kind": "multi_label"}
    ingest(examples, ExampleGenSettings(source="digit_scenes:scenes,count=40,size=48"))
    sealed(examples)
    graph = make_graph(tmp_path, examples)
    model, _ = fit(tmp_path, examples, graph, task, {"family": "linear"})
    evaluation = judge(tmp_path, examples, model, task)
    document, columns = evaluation.read(), evaluation.predictions()
    assert columns["targets"].shape == columns["present"].shape == (8, 10)
    assert 8 < columns["targets"].sum() <= 40, "1 to 5 digits an image"
    np.testing.assert_array_equal(columns["present"], columns["probabilities"] > 0.5)
    right = (columns["present"] == columns["targets"]).mean()
    assert document["metrics"]["label_accuracy"]["value"] == pytest.approx(right)
    assert document["metrics"]["average_precision_macro"]["low"] is not None
    with pytest.raises(UserError, match="need a task on one class for each image"):
        fit(tmp_path, examples, graph, task, {"family": "linear"}, sampling="balanced")
    history = json.loads(model.history_file.read_text())
    assert set(history) >= {"loss", "val_loss", "label_accuracy", "val_label_accuracy"}


@pytest.mark.slow
def test_anomalies_among_labelled_images(run, tmp_path):
    """Only images of one class are learned from; the others are told from it in evaluation."""
    task = {"kind": "reconstruction", "normal": [CLASSES[1]]}
    graph = make_graph(tmp_path, run.examples, TransformSettings(normalize="rescale"))
    model, context = fit(
        tmp_path, run.examples, graph, task, {"family": "autoencoder", "filters": [4], "code": 4}
    )
    assert {*context.notes} >= {
        "32 of the 48 examples of train are not learned from",
        "12 of the 18 examples of validation are not learned from",
    }
    evaluation = judge(tmp_path, run.examples, model, task)
    columns = evaluation.predictions()
    assert columns["targets"].sum() == 20
    assert evaluation.read()["metrics"]["anomaly_roc_auc"]["value"] is not None
    threshold = model.contract()["thresholds"]["anomaly_score"]
    wrong = (columns["anomaly_score"] > threshold) != columns["targets"]
    assert 0 < wrong.sum() < len(wrong)
    galleries = {plot["title"]: plot["items"] for plot in evaluation.read()["plots"] if "items" in plot}
    assert len(galleries["Worst errors"]) == min(wrong.sum(), JudgeSettings().worst)
    # the most wrong: whose score is furthest on the wrong side
    beyond = np.where(wrong, np.abs(columns["anomaly_score"] - threshold), 0)
    assert galleries["Worst errors"][0]["caption"].startswith(columns["ids"][beyond.argmax()])
    assert evaluation.read()["task"]["normal"] == [CLASSES[1]]


def test_a_task_learns_from_the_examples_that_it_chooses(run):
    task = make_task(ReconstructionSettings(kind="reconstruction", normal=CLASSES[1:]), CLASSES)
    everything = list(read_split(run.examples, "train").as_numpy_iterator())
    chosen = read_learned(run.examples, "train", task)
    assert int(chosen.cardinality()) == 32
    expected = [row["id"] for row in everything if row["label"] in (1, 2)]
    assert [row["id"] for row in chosen.as_numpy_iterator()] == expected
    assert tell_left_out(run.examples, "train", task) == "16 of the 48 examples of train are not learned from"


def test_all_examples_are_learned_from_unless_a_task_chooses(run):
    task = make_task(ClassificationSettings(), CLASSES)
    assert int(read_learned(run.examples, "train", task).cardinality()) == 48
    assert tell_left_out(run.examples, "train", task) == ""


def test_nothing_to_learn_from_is_told(run):
    task = make_task(ReconstructionSettings(kind="reconstruction", normal=["other"]), [*CLASSES, "other"])
    with pytest.raises(UserError, match="nothing to learn from"):
        read_learned(run.examples, "train", task)
