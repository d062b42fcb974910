"""Judged examples made by hand: a classifier's answers, and facts about the examples."""

import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from conveyor.components.artifacts import Blessing, Evaluation, Examples
from conveyor.components.evaluator.bless import bless
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task
from conveyor.pipeline.artifacts import seal

CLASSES = ["cat", "dog"]


def make_examples(folder: pathlib.Path, **columns) -> Examples:
    """Makes Examples that have nothing but facts of a test split; `key` unless told is "0", "1", …"""
    count = len(next(iter(columns.values())))
    examples = Examples(folder, {"splits": {"train": 0, "test": count}, "classes": CLASSES})
    examples.facts_dir.mkdir(parents=True)
    facts = {"key": [str(number) for number in range(count)], "group": [""] * count, **columns}
    pyarrow.parquet.write_table(pa.table(facts), examples.facts_dir / "test-0.parquet")
    return examples


def make_evaluation(folder: pathlib.Path, truth: np.ndarray, right: np.ndarray) -> Evaluation:
    """Makes the evaluation of a model that is right on some of the examples "0", "1", …"""
    folder.mkdir(parents=True)
    evaluation = Evaluation(folder)
    answers = np.eye(2)[np.where(right, truth, 1 - truth)] * 0.8 + 0.1
    columns = {"targets": truth, "probabilities": answers}
    ids = np.array([str(number) for number in range(len(truth))])
    np.savez(evaluation.predictions_file, ids=ids, **columns)
    metrics = make_task(ClassificationSettings(), CLASSES).evaluate(columns, 200, 0)
    evaluation.write({"split": "test", "task": {"kind": "classification"}, "metrics": metrics})
    seal(evaluation, {})
    return evaluation


def decide(folder: pathlib.Path, evaluation, examples, before=None, **judge) -> Blessing:
    """Blesses, or not."""
    folder.mkdir(parents=True)
    blessing = Blessing(folder)
    settings = EvaluatorSettings(task={}, judge={"bootstrap": 200, **judge})
    baseline = str(before.path) if before else ""
    bless(evaluation, examples, settings, baseline, blessing)
    json.dumps(blessing.read(), allow_nan=False)
    return blessing
