import json
import re
import shutil

import numpy as np
import pytest
from small_run import CLASSES, draw_images, evaluate, export_changed, make_examples, new

from conveyor.components.artifacts import Blessing, Evaluation, Examples
from conveyor.components.datasets import read_split
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.components.evaluator.stage import evaluator
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.artifacts import changed_files
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context


def predictions(evaluation):
    with np.load(evaluation.predictions_file, allow_pickle=False) as file:
        return dict(file)


def gallery(evaluation):
    return next(plot for plot in evaluation.read()["plots"] if plot["kind"] == "gallery")["items"]


def records_of(columns):
    return {name: values for name, values in columns.items() if name != "ids"}


def test_predictions_are_those_of_every_example_in_order(run):
    columns = predictions(run.evaluation)
    rows = list(read_split(run.examples, "test").as_numpy_iterator())
    assert columns["ids"].tolist() == [row["id"].decode() for row in rows]
    assert columns["targets"].tolist() == [row["label"] for row in rows]
    assert columns["probabilities"].shape == (30, 3)
    best = columns["probabilities"].argmax(axis=1)
    np.testing.assert_array_equal(columns["class_id"], best)
    assert columns["class_name"].tolist() == [CLASSES[label] for label in best]
    assert {array.dtype.kind for array in columns.values()} == {"U", "i", "f"}


def test_document_is_measured_on_the_predictions(run):
    document, columns = run.evaluation.read(), predictions(run.evaluation)
    assert {key: document[key] for key in ("split", "examples", "batch_size", "classes")} == {
        "split": "test",
        "examples": 30,
        "batch_size": 128,
        "classes": CLASSES,
    }
    task = make_task(ClassificationSettings(), CLASSES)
    expected = task.evaluate(records_of(columns), 50, seed=0)
    assert document["metrics"] == expected
    assert 0.4 < expected["accuracy"]["value"] < 1, "these tests are of a model that errs"
    assert run.evaluation.properties["summary"] == {"metrics": expected}
    assert [plot["kind"] for plot in document["plots"]] == [
        *("lines", "lines", "matrix", "lines", "gallery", "gallery")
    ]
    assert (document["resampled"], document["units"]) == ("examples", 30)


def test_batch_size_does_not_change_what_is_measured(run, tmp_path):
    evaluation, _ = evaluate(tmp_path, run.examples, run.model, batch_size=7)
    columns, whole = predictions(evaluation), predictions(run.evaluation)
    assert columns["ids"].tolist() == whole["ids"].tolist()
    np.testing.assert_allclose(columns["probabilities"], whole["probabilities"], atol=1e-6)
    ours = {item["caption"] for item in gallery(evaluation)}
    assert len(ours) == len(gallery(run.evaluation))


def test_evaluating_again_gives_the_same_bytes(run, tmp_path):
    evaluation, blessing = evaluate(tmp_path, run.examples, run.model)
    assert evaluation.digest == run.evaluation.digest
    assert blessing.digest == run.blessing.digest
    other, _ = evaluate(tmp_path, run.examples, run.model, seed=1)
    assert other.digest != run.evaluation.digest


@pytest.mark.parametrize(("worst", "batch_size"), [(3, 128), (3, 4), (100, 11)])
def test_gallery_holds_the_worst_errors_worst_first(run, tmp_path, worst, batch_size):
    evaluation, _ = evaluate(tmp_path, run.examples, run.model, worst=worst, batch_size=batch_size)
    columns = predictions(evaluation)
    wrong = np.flatnonzero(columns["class_id"] != columns["targets"])
    own = columns["probabilities"][np.arange(30), columns["targets"]]
    expected = wrong[np.argsort(own[wrong], kind="stable")][:worst]
    assert 3 < len(wrong) < 30
    items = gallery(evaluation)
    assert len(items) == len(expected)
    for item, index in zip(items, expected, strict=True):
        name = columns["ids"][index]
        assert item["caption"].startswith(f"{name}: is {CLASSES[columns['targets'][index]]} (")
        assert f"taken for {columns['class_name'][index]} (" in item["caption"]
        source = run.source / name
        assert re.fullmatch(r"gallery/\d{3}" + re.escape(source.suffix), item["file"])
        assert (evaluation.path / item["file"]).read_bytes() == source.read_bytes()
    assert {path.name for path in (evaluation.path / "gallery").iterdir()} == {
        item["file"].partition("/")[2] for item in items
    }


def test_of_equally_wrong_answers_the_first_are_shown(run, tmp_path):
    uniform = export_changed(tmp_path, run, lambda weights: [0 * values for values in weights])
    evaluation, _ = evaluate(tmp_path, run.examples, uniform, worst=4, batch_size=5)
    columns = predictions(evaluation)
    wrong = columns["ids"][columns["targets"] != 0]  # class 0 wins where all are equal
    assert [item["caption"].partition(": ")[0] for item in gallery(evaluation)] == wrong[:4].tolist()


def test_gallery_may_be_left_out(run, tmp_path):
    evaluation, _ = evaluate(tmp_path, run.examples, run.model, worst=0, hardest=0)
    assert all(plot["kind"] != "gallery" for plot in evaluation.read()["plots"])
    assert not (evaluation.path / "gallery").exists()
    assert not (evaluation.path / "hardest").exists()


def test_hardest_are_right_answers_that_were_least_sure(run, tmp_path):
    evaluation, _ = evaluate(tmp_path, run.examples, run.model, hardest=5, batch_size=7)
    columns = predictions(evaluation)
    right = np.flatnonzero(columns["class_id"] == columns["targets"])
    own = columns["probabilities"].max(axis=1)
    expected = columns["ids"][right[np.argsort(own[right], kind="stable")][:5]]
    (plot,) = [plot for plot in evaluation.read()["plots"] if plot["title"] == "Hardest"]
    assert [item["caption"].partition(": ")[0] for item in plot["items"]] == expected.tolist()
    assert [item["file"].partition("/")[0] for item in plot["items"]] == ["hardest"] * 5


def test_model_without_errors_has_no_gallery(run, tmp_path):
    source = draw_images(tmp_path / "source", {"train": 4, "test": 3})
    for name in ("chat", "猫"):  # all that is left to judge is of one class, the one that it says
        shutil.rmtree(source / "test" / name)
    examples = make_examples(tmp_path, source)
    always = export_changed(tmp_path, run, lambda weights: [0 * weights[0], np.eye(3)[1] * 20])
    evaluation, _ = evaluate(tmp_path, examples, always)
    document = evaluation.read()
    assert (document["examples"], document["metrics"]["accuracy"]["value"]) == (3, 1.0)
    assert all(plot["title"] != "Worst errors" for plot in document["plots"])


def test_stage_notes_which_labels_it_looked_at(run, tmp_path):
    context = Context()
    evaluation, _ = evaluate(tmp_path, run.examples, run.model, context=context, split="validation")
    assert context.looks == [{"split": split, "purpose": "report"} for split in ("validation", "train")]
    document = evaluation.read()
    assert (document["split"], document["examples"]) == ("validation", 18)
    assert changed_files(evaluation.path) == []


def test_without_resampling_intervals_are_none(run, tmp_path):
    evaluation, _ = evaluate(tmp_path, run.examples, run.model, bootstrap=0)
    rows = evaluation.read()["metrics"].values()
    assert all(row["low"] is None and row["high"] is None for row in rows)


def test_split_of_one_example(run, tmp_path):
    source = draw_images(tmp_path / "source", {"train": 2})
    one = source / "test" / "été" / "größe 00.png"
    one.parent.mkdir(parents=True)
    one.write_bytes((source / "train" / "été" / "größe 01.png").read_bytes())
    examples = make_examples(tmp_path, source, splits={"train": 1, "validation": 0, "test": 0})
    assert examples.properties["splits"]["test"] == 1
    evaluation, blessing = evaluate(tmp_path, examples, run.model)
    metrics = evaluation.read()["metrics"]
    assert metrics["average_precision/été"]["value"] == 1.0
    assert metrics["average_precision/chat"] == {"value": None, "low": None, "high": None}
    assert blessing.read()["blessed"] is True


# === what cannot be judged ===


def judge_badly(run, tmp_path, examples, model):
    evaluation, blessing = new(tmp_path, Evaluation), new(tmp_path, Blessing)
    with pytest.raises(UserError) as caught:
        evaluator(
            examples=examples,
            model=model,
            evaluation=evaluation,
            blessing=blessing,
            settings=EvaluatorSettings(task={}),
            context=Context(),
        )
    assert not (evaluation.path / "evaluation.json").exists()
    return str(caught.value)


def test_answers_that_are_no_numbers(run, tmp_path):
    broken = export_changed(tmp_path, run, lambda weights: [weights[0] * np.nan, weights[1]])
    assert "no numbers" in judge_badly(run, tmp_path, run.examples, broken)


def test_model_of_other_classes(run, tmp_path):
    classes = ["chat", "chien", "猫"]
    examples = Examples(run.examples.path, {**run.examples.properties, "classes": classes})
    assert "'été' for 'chien'" in judge_badly(run, tmp_path, examples, run.model)


def test_model_of_more_classes_than_the_data_has(run, tmp_path):
    examples = Examples(run.examples.path, {**run.examples.properties, "classes": ["chat", "été"]})
    assert "for 2 classes" in judge_badly(run, tmp_path, examples, run.model)


def test_document_is_plain_json(run):
    text = (run.evaluation.path / "evaluation.json").read_text("utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == run.evaluation.read()
