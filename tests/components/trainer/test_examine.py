import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from small_run import CLASSES, scratch, training

from conveyor.components.trainer import examine
from conveyor.components.trainer.examine import dry_step, examine_labels
from conveyor.components.trainer.fit import fit
from conveyor.models.model import Model
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context

TASK = make_task(ClassificationSettings(), CLASSES)


def say_labels(monkeypatch, labels, split="train"):
    keys = [f"image {number}" for number in range(len(labels))]
    table = pa.table({"key": keys, "label": pa.array(labels, pa.int32()), "split": [split] * len(labels)})
    monkeypatch.setattr(examine, "read_facts", lambda *_: table)


@pytest.mark.parametrize("wrong", [3, -1])
def test_label_out_of_range(run, monkeypatch, wrong):
    say_labels(monkeypatch, [0, 1, wrong, 2])
    with pytest.raises(UserError, match="label of 'image 2' is out of range") as caught:
        examine_labels(run.examples, ("label",), CLASSES)
    assert caught.value.received == str(wrong)


def test_one_class(run, monkeypatch):
    say_labels(monkeypatch, [1, 1, 1])
    with pytest.raises(UserError, match="one class"):
        examine_labels(run.examples, ("label",), CLASSES)
    examine_labels(run.examples, (), CLASSES)  # of a task that needs no labels
    say_labels(monkeypatch, [1, 0])
    examine_labels(run.examples, ("label",), CLASSES)
    say_labels(monkeypatch, [0, 1], "test")
    with pytest.raises(UserError, match="one class"):
        examine_labels(run.examples, ("label",), CLASSES)


def test_good_labels_pass(run):
    examine_labels(run.examples, ("label",), CLASSES)


def test_empty_training_split(run, monkeypatch):
    monkeypatch.setitem(run.examples.properties, "splits", {"train": 0, "test": 5})
    with pytest.raises(UserError, match="'train' is empty"):
        examine_labels(run.examples, (), CLASSES)


def model_of(layer, shape=(4,)):
    inputs = keras.Input(shape)
    model = Model(inputs, layer(inputs))
    model.compile("sgd", TASK.loss(), metrics=TASK.metrics())
    return model


def batches(shape=(4,), classes=3):
    images = np.random.default_rng(0).normal(size=(6, *shape)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((images, np.eye(classes)[[0, 1, 2, 0, 1, 2]])).batch(3)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (model_of(keras.layers.Dense(2)), batches()),  # classes
        (model_of(keras.layers.Conv2D(3, 3), (8, 8, 3)), batches((8, 8, 3))),  # rank of outputs
        (model_of(keras.layers.Dense(3)), batches((5,))),  # size of inputs
        (model_of(keras.layers.Conv2D(3, 3), (None, None, 3)), batches((8, 8, 1))),  # channels
    ],
)
def test_what_does_not_fit_is_told(model, data):
    with pytest.raises(UserError, match="'toy' cannot be trained on this data") as caught:
        dry_step(model, data, TASK, "toy")
    assert "section `model`" in caught.value.where


def test_dry_step_leaves_no_trace_and_builds_all():
    inputs = keras.Input([4])
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(inputs))
    model = Model(inputs, keras.layers.Dense(3)(hidden))
    model.compile("adam", TASK.loss(), metrics=TASK.metrics())
    before = [np.array(variable) for variable in model.variables]
    dry_step(model, batches(), TASK, "toy")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert model.optimizer.built
    assert len(model.metrics_variables) == 4
    assert all(np.all(np.array(variable) == 0) for variable in model.metrics_variables)


def test_model_with_too_many_reductions_names_the_size(run, tmp_path):
    settings = training({"family": "cnn", "filters": [2] * 5})
    with pytest.raises(UserError, match="12x10 with 1 channel"):
        fit(run.examples, run.graph, settings, Context(scratch=scratch(tmp_path)))
