"""Evaluation part by part gives what one pass gives, whatever the parts."""

import numpy as np
import pytest
from small_run import evaluate

from conveyor.components.datasets import read_split
from conveyor.components.evaluator import parts as parts_module
from conveyor.components.evaluator.parts import predict_in_parts
from conveyor.components.evaluator.predict import predict
from conveyor.components.evaluator.saved_model import open_served
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.components.tasks import fitted_task
from conveyor.pipeline.errors import UserError


def settings(**judge):
    return EvaluatorSettings(task={}, judge={"batch_size": 4, "worst": 5, "hardest": 3, **judge})


def captions(galleries):
    return {name: [row.text for row in sorted(one.rows, reverse=True)] for name, one in galleries.items()}


@pytest.mark.parametrize("size", [1, 8, 100])
def test_parts_are_one_pass(run, tmp_path, size):
    task = fitted_task(settings().task, run.examples, run.model.saved_model)
    whole = predict(run.examples, open_served(run.model.saved_model), task, settings().judge)
    found = predict_in_parts(run.examples, run.model.saved_model, settings(), tmp_path, size)
    np.testing.assert_array_equal(found.ids, whole.ids)
    assert set(found.records) == set(whole.records)
    for name, column in whole.records.items():
        np.testing.assert_array_equal(found.records[name], column)  # to the bit: the batches are the same
        assert isinstance(found.records[name], np.memmap)
    assert captions(found.galleries) == captions(whole.galleries)
    assert len(found.galleries["gallery"].rows) == 5
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy"}, "parts are cleared away"


def test_an_evaluation_has_the_same_bytes_either_way(run, tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "_PART", 8)
    apart, _ = evaluate(tmp_path, run.examples, run.model, beam="on")
    assert apart.digest == run.evaluation.digest


def test_rows_of_a_split(run):
    whole = [row["id"] for row in read_split(run.examples, "test").as_numpy_iterator()]
    some = read_split(run.examples, "test", range(7, 12))
    assert [row["id"] for row in some.as_numpy_iterator()] == whole[7:12]
    assert int(some.cardinality()) == 5


def test_what_cannot_be_judged_is_told(run, tmp_path):
    examples = type(run.examples)(run.examples.path, {**run.examples.properties, "classes": ["chat", "été"]})
    with pytest.raises(UserError, match="cannot be judged"):
        predict_in_parts(examples, run.model.saved_model, settings(), tmp_path)


def test_parts_with_more_and_fewer_objects_are_filled_up(tmp_path):
    columns = [np.array([[1, 2]]), np.array([[3, 4, 5], [6, 7, 8]])]
    files = [tmp_path / str(number) / "labels.npy" for number in range(2)]
    for file, column in zip(files, columns, strict=True):
        file.parent.mkdir()
        np.save(file, column)
    np.testing.assert_array_equal(parts_module._joined(files, tmp_path), [[1, 2, -1], [3, 4, 5], [6, 7, 8]])
