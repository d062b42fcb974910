import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from small_run import CLASSES, export_changed, make_examples, new, sealed

from conveyor.components.artifacts import Evaluation, InfraBlessing, Model
from conveyor.components.infra_validator.prove import _both, compare
from conveyor.components.infra_validator.server import NotServedError
from conveyor.components.infra_validator.settings import InfraValidatorSettings
from conveyor.components.infra_validator.stage import infra_validator
from conveyor.components.serving.version import Version
from conveyor.components.trainer.export import export
from conveyor.components.trainer.fit import Fitted
from conveyor.models.linear.linear import Linear
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context


def check(run, model=None, evaluation=None, examples=None, tolerance=0.0):
    """Compares what the server's code answers, in this process: to start one for each test takes long."""
    settings = InfraValidatorSettings(task={}, proof={"tolerance": tolerance})
    try:
        version = Version((model or run.model).saved_model)
    except UserError as error:
        return {"blessed": False, "reason": error.received}

    def served(images):
        outputs = version.run("serving_default", images.numpy())
        return {name: tf.constant(array) for name, array in outputs.items()}

    return compare(examples or run.examples, served, evaluation or run.evaluation, settings)


def changed_evaluation(folder, run, change=None, document=None):
    """A copy of the evaluation with other predictions, or with another document."""
    evaluation = new(folder, Evaluation)
    shutil.copytree(run.evaluation.path, evaluation.path, dirs_exist_ok=True)
    with np.load(run.evaluation.predictions_file) as file:
        columns = dict(file)
    (change or (lambda _: None))(columns)
    np.savez_compressed(evaluation.predictions_file, **columns)
    values = run.evaluation.read()
    (document or (lambda _: None))(values)
    evaluation.write(values)
    return sealed(evaluation)


def nudge(size):
    return lambda weights: [weights[0] + np.float32(size), weights[1]]


def test_true_model_passes_to_the_last_bit(run):
    document = check(run)
    metrics = run.evaluation.read()["metrics"]
    assert document == {
        "blessed": True,
        "reason": "",
        "examples": 30,
        "largest_difference": 0.0,
        "metrics": {name: row["value"] for name, row in metrics.items()},
    }


def test_copy_of_the_record_passes(run, tmp_path):
    assert check(run, evaluation=changed_evaluation(tmp_path, run))["blessed"]


# === another model ===


def test_other_weights_are_found_out(run, tmp_path):
    document = check(run, export_changed(tmp_path, run, lambda weights: [weights[0] * 1.01, weights[1]]))
    assert not document["blessed"]
    assert document["largest_difference"] > 0
    assert "outputs differ by up to" in document["reason"]
    assert document["metrics"]["accuracy"] is not None


@pytest.mark.parametrize("end", ["data-00000-of-00001", "index"])
@pytest.mark.parametrize("how", ["flipped", "cut", "lost"])
def test_weights_altered_on_disk_are_found_out(run, tmp_path, end, how):
    model = Model(tmp_path)
    shutil.copytree(run.model.saved_model, model.saved_model)
    file = model.saved_model / "variables" / f"variables.{end}"
    content = bytearray(file.read_bytes())
    if how == "flipped":
        content[len(content) // 3] ^= 1
    file.write_bytes(content[:-9] if how == "cut" else content)
    if how == "lost":
        file.unlink()
    document = check(run, model)
    assert not document["blessed"]
    assert document["reason"]


def test_classes_in_another_order_are_found_out(run, tmp_path):
    swapped = export_changed(tmp_path, run, classes=CLASSES[::-1])
    document = check(run, swapped)
    assert not document["blessed"]
    assert "other names of classes" in document["reason"]
    assert repr(CLASSES[0]) in document["reason"]


def test_columns_in_another_order_are_found_out(run, tmp_path):
    # As a head trained on other label numbers would have it.
    swapped = export_changed(tmp_path, run, lambda weights: [weights[0][:, ::-1], weights[1][::-1]])
    assert not check(run, swapped, tolerance=0.01)["blessed"]


def test_more_classes_are_found_out_and_nothing_is_measured(run, tmp_path):
    task = make_task(ClassificationSettings(), [*CLASSES, "more"])
    model = new(tmp_path, Model)
    export(Fitted(Linear((12, 10, 1), 4), task, {"loss": [0.0]}, 1, "linear"), run.graph, model)
    document = check(run, model)
    assert not document["blessed"]
    assert document["metrics"] == {}


@pytest.mark.parametrize("tolerance", [0.0, 10.0])
def test_answers_that_are_no_numbers_are_found_out(run, tmp_path, tolerance):
    broken = export_changed(tmp_path, run, lambda weights: [weights[0] * np.nan, weights[1]])
    document = check(run, broken, tolerance=tolerance)
    assert not document["blessed"]
    assert document["metrics"] == {}
    new(tmp_path, InfraBlessing).write(document)  # JSON has no NaN


# === another record ===


def swap_probabilities(columns):
    columns["probabilities"][[0, 1]] = columns["probabilities"][[1, 0]]


def change_one_bit(columns):
    columns["probabilities"][7, 0] = np.nextafter(columns["probabilities"][7, 0], 2, dtype=np.float32)


def drop_an_example(columns):
    for name in columns:
        columns[name] = columns[name][1:]


def relabel(columns):
    columns["targets"][3] = (columns["targets"][3] + 1) % 3


def rename(columns):
    columns["ids"][5] = "another.png"


def restate(columns):
    columns["class_id"][2] = (columns["class_id"][2] + 1) % 3


def drop_an_output(columns):
    del columns["class_name"]


def add_an_output(columns):
    columns["more"] = columns["targets"]


def integers(columns):
    columns["probabilities"] = (columns["probabilities"] * 0).astype(int)


def forget(columns):
    columns["probabilities"][4, 1] = np.nan


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (swap_probabilities, "outputs differ"),
        (change_one_bit, "outputs differ"),
        (drop_an_example, "shape"),
        (relabel, "targets"),
        (rename, "ids"),
        (restate, "class_id"),
        (drop_an_output, "class_name"),
        (add_an_output, "more"),
        (integers, "type"),
        (forget, "not finite in the same places"),
    ],
)
def test_tampered_predictions_are_found_out(run, tmp_path, change, said):
    document = check(run, evaluation=changed_evaluation(tmp_path, run, change))
    assert not document["blessed"]
    assert said in document["reason"]


@pytest.mark.parametrize("name", ["accuracy", "average_precision/été", "ece"])
@pytest.mark.parametrize("value", [0.999, None])
@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_tampered_metrics_are_found_out(run, tmp_path, name, value, tolerance):
    def document(values):
        values["metrics"][name]["value"] = value

    found = check(run, evaluation=changed_evaluation(tmp_path, run, document=document), tolerance=tolerance)
    assert not found["blessed"]
    assert f"metric {name} is" in found["reason"]


def test_invented_metric_is_found_out(run, tmp_path):
    def document(values):
        values["metrics"]["top5_accuracy"] = {"value": 1.0, "low": 1.0, "high": 1.0}

    found = check(run, evaluation=changed_evaluation(tmp_path, run, document=document))
    assert "top5_accuracy" in found["reason"]


def test_other_images_under_the_same_names_are_found_out(run, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(run.source, source)
    one, other = (source / "test" / "chat" / f"größe 0{number}.png" for number in (0, 1))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert not check(run, examples=make_examples(tmp_path, source))["blessed"]


# === tolerance ===


@pytest.mark.parametrize(("share", "blessed"), [(2.0, True), (0.5, False)])
def test_tolerance_is_respected(run, tmp_path, share, blessed):
    model = export_changed(tmp_path, run, nudge(1e-6))
    difference = check(run, model)["largest_difference"]
    assert 0 < difference < 1e-3
    document = check(run, model, tolerance=share * difference)
    assert document["blessed"] is blessed
    assert document["largest_difference"] == difference


def test_within_the_tolerance_ranks_may_change(run, tmp_path):
    # Two examples whose scores are swapped by a hair: average precision moves by more than a hair.
    def tie(columns):
        order = np.argsort(columns["probabilities"][:, 0])
        gap = np.diff(columns["probabilities"][order, 0])
        labels = columns["targets"][order]
        differs = np.flatnonzero((labels[1:] == 0) != (labels[:-1] == 0))
        near = differs[gap[differs].argmin()]
        pair = order[[near, near + 1]]
        columns["probabilities"][pair, 0] = columns["probabilities"][pair[::-1], 0]

    evaluation = changed_evaluation(tmp_path, run, tie)
    with np.load(evaluation.predictions_file) as file:
        columns = dict(file)
    task = make_task(ClassificationSettings(), CLASSES)
    values = task.measure(columns)
    document = evaluation.read()
    before = document["metrics"]["average_precision/chat"]["value"]
    for name, value in values.items():
        document["metrics"][name]["value"] = value
    evaluation.write(document)
    difference = check(run, evaluation=evaluation)["largest_difference"]
    assert abs(values["average_precision/chat"] - before) > 2 * difference > 0
    assert check(run, evaluation=evaluation, tolerance=1.5 * difference)["blessed"]


# === the server, in a process of its own ===


def prove_by_stage(run, tmp_path, model):
    infra_blessing, context = new(pathlib.Path(tmp_path), InfraBlessing), Context()
    infra_validator(
        examples=run.examples,
        model=model,
        evaluation=run.evaluation,
        blessing=run.blessing,
        infra_blessing=infra_blessing,
        settings=InfraValidatorSettings(task={}),
        context=context,
    )
    return infra_blessing, context.notes


def test_stage_blesses_the_true_model_and_tells_how_fast_it_is_served(run, tmp_path):
    infra_blessing, notes = prove_by_stage(run, tmp_path, run.model)
    assert infra_blessing.read() == check(run)
    assert "gate" not in infra_blessing.properties
    found = re.fullmatch(
        r"the server answered ([\d.]+) s after its start; one image takes it ([\d.]+) ms \(p99 ([\d.]+) ms\)"
        r" and ([\d,]+) MB of memory at most",
        *notes,
    )
    cold, p50, p99, memory = (float(text.replace(",", "")) for text in found.groups())
    assert 0 < p50 <= p99 < 1000 * cold
    assert 100 < memory < 10_000


def test_stage_closes_its_gate_on_any_other(run, tmp_path):
    other = export_changed(tmp_path, run, lambda weights: [weights[0] * 1.01, weights[1]])
    infra_blessing, _ = prove_by_stage(run, tmp_path, other)
    assert infra_blessing.read()["blessed"] is False
    assert "what is served is not what was evaluated" in infra_blessing.properties["gate"]["reason"]


def test_a_model_that_is_gone_is_found_out(run, tmp_path):
    infra_blessing, notes = prove_by_stage(run, tmp_path, Model(tmp_path / "absent"))
    document = infra_blessing.read()
    assert not document["blessed"]
    assert "it cannot be served: there is no version that can be served" in document["reason"]
    assert (document["examples"], document["metrics"], notes) == (0, {}, [])


class TwoFaced:
    """Answers over gRPC as the model does, and over REST a little otherwise."""

    def __init__(self, change):
        self._change = change

    def by_grpc(self, images):
        return {"mean": np.float32([0.25, 0.5])[: len(images)]}

    def by_rest(self, images, like):
        return self._change(like)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda like: {"mean": np.nextafter(like["mean"], 1, dtype=np.float32)}, "outputs differ by up to"),
        (lambda like: {}, "outputs [] instead of ['mean']"),
        (lambda like: {"mean": like["mean"][:1]}, "shape"),
    ],
)
def test_protocols_that_differ_are_found_out(change, said):
    with pytest.raises(NotServedError, match="REST and gRPC answer differently") as caught:
        _both(TwoFaced(change))(tf.constant([b"", b""]))
    assert said in str(caught.value)
    ask = _both(TwoFaced(lambda like: like))
    assert ask(tf.constant([b"", b""]))["mean"].numpy().tolist() == [0.25, 0.5]
