"""Measures a model in another format as the evaluator measured the SavedModel."""

import itertools
import math
import time
import typing
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Evaluation, Examples, Formats, Model, TransformGraph
from conveyor.components.datasets import read_split
from conveyor.components.evaluator.compare import find_gain
from conveyor.components.evaluator.predict import predict
from conveyor.components.evaluator.units import find_groups
from conveyor.components.exporter.formats import FORMATS, Run, raw_outputs
from conveyor.components.exporter.settings import ExporterSettings
from conveyor.components.tasks import fitted_task
from conveyor.components.transform.graph import load
from conveyor.models.metrics.weighted import Sample, sample
from conveyor.models.model import Model as Network
from conveyor.models.pretrained.backbone import load_model
from conveyor.models.tasks.task import Records, Task
from conveyor.pipeline.errors import UserError

_BATCH = 32  # images of calibration at a time
_TIMED = 50  # images by which a format is timed
_Row = dict[str, typing.Any]


class Exporter:
    """A trained model, and what its other formats are measured by.

    Args:
        examples: The data.
        model: The trained model.
        transform_graph: Its preprocessing.
        evaluation: Of its SavedModel.
        settings: What is wanted.
    """

    def __init__(
        self,
        examples: Examples,
        model: Model,
        transform_graph: TransformGraph,
        evaluation: Evaluation,
        settings: ExporterSettings,
    ):
        self._examples, self._settings = examples, settings
        self._how = settings.judge.model_copy(update={"worst": 0, "hardest": 0})  # no pictures
        keras.utils.clear_session()  # names of layers, which files hold, are counted up in a process
        self._network: Network = load_model(str(model.keras_file))
        self._preprocessing = load(transform_graph.saved_model)
        self._task = fitted_task(settings.task, examples, model.saved_model)
        self._ids, self._old = self._records(evaluation)
        self._check = settings.judge.bless[0]
        self.notes: list[str] = []

    @staticmethod
    def _records(evaluation: Evaluation) -> tuple[np.ndarray, Records]:
        records = evaluation.predictions()
        return records.pop("ids"), records

    def export(self, name: str, formats: Formats) -> _Row:
        """Converts the model, measures it and, if it is good enough, writes its file.

        Args:
            name: A key of `FORMATS`.
            formats: Where the file goes.

        Returns:
            `format`, `file`, `bytes`, `metric`, `value`, `gain` ({value, low, high}; below 0 for a loss; None
            where it is not defined), `metrics` (name -> value), `published` and `reason`, why it is not.
        """
        found = FORMATS[name]
        row: _Row = {"format": name, "file": found.file, "bytes": None, "metric": self._check.metric}
        row |= {"value": None, "gain": None, "metrics": {}, "published": False, "reason": ""}
        try:
            content = found.convert(self._network, self._calibration())
            run = found.open(content)
            records = self._ask(run)
        except UserError as error:
            if "packages" in error.what:
                raise
            return {**row, "reason": f"{error.what}: {error.received}"}
        except Exception as error:  # converters raise all sorts of errors on what they do not know
            return {**row, "reason": f"it cannot be converted: {_first_line(error)}"}
        row |= {"bytes": len(content), "metrics": self._task.measure(records), **self._compare(records)}
        row["reason"] = self._objection(row)
        row["published"] = not row["reason"]
        if row["published"]:
            (formats.files / found.file).write_bytes(content)
        self.notes.append(f"{name}: {len(content) / 1e6:.2f} MB, {1e3 * self._time(run):.2f} ms an image")
        return row

    def _calibration(self) -> Iterator[np.ndarray]:
        images = read_split(self._examples, "train").take(self._settings.export.calibration)
        for batch in images.map(self._task.request).batch(_BATCH):
            yield self._preprocessing.preprocess(batch)[0].numpy()

    def _ask(self, run: Run) -> Records:
        def served(images: tf.Tensor) -> dict[str, tf.Tensor]:
            inputs, frame = self._preprocessing.preprocess(images)
            outputs = {name: tf.constant(array) for name, array in run(inputs.numpy()).items()}
            return self._task.decode(inputs, raw_outputs(outputs), frame)

        found = predict(self._examples, served, self._task, self._how)
        if found.ids.tolist() != self._ids.tolist():
            raise UserError("the examples are not those that were judged")
        return found.records

    def _compare(self, records: Records) -> _Row:
        how = self._settings.judge
        groups = find_groups(self._examples, how.split, self._ids, how.resample)
        new, old = (self._sample(self._task, one, groups) for one in (records, self._old))
        gain = find_gain(new, old, self._check.sign)
        told = gain and {"value": gain.value, "low": gain.low, "high": gain.high}
        return {"value": new.value, "gain": told}

    def _sample(self, task: Task, records: Records, groups: np.ndarray | None) -> Sample:
        drawn = sample(
            task.weighted(records),
            len(self._ids),
            self._settings.judge.bootstrap,
            self._settings.seed,
            groups,
        )
        return drawn[self._check.metric]

    def _objection(self, row: _Row) -> str:
        """Returns why a format is not published; "" for nothing."""
        gain, most = row["gain"], self._settings.export.max_drop
        if gain is None or not math.isfinite(gain["low"]):
            return f"{self._check.metric} cannot be compared"
        if gain["low"] < -most:
            return f"{self._check.metric} may be worse by {-gain['low']:.4f}, more than {most:g}"
        return ""

    def _time(self, run: Run) -> float:
        """Returns the median seconds of one image, without its preprocessing."""
        inputs = next(self._calibration())[:1]
        times = []
        for _ in itertools.repeat(None, _TIMED):
            began = time.perf_counter()
            run(inputs)
            times.append(time.perf_counter() - began)
        return float(np.median(times))


def _first_line(error: Exception) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:300]
