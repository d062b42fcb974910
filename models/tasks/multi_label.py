"""Multi-label classification: any number of classes in an image, or none."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.metrics import classification as metrics
from conveyor.models.metrics.weighted import Scores
from conveyor.models.ops.frames import Frame
from conveyor.models.tasks import curves
from conveyor.models.tasks.settings import MultiLabelSettings
from conveyor.models.tasks.task import Batch, Outputs, Records, Task

_THRESHOLD = 0.5  # a class with a higher probability is said to be there


class MultiLabel(Task):
    """Logits per class in; a probability of each class by itself, and which are there, out.

    A class is in an image if any of its objects is of it, crowds and difficult ones too.

    Args:
        settings: Settings of the task.
        classes: Names of the classes, in label order.
    """

    settings: MultiLabelSettings

    def __init__(self, settings: MultiLabelSettings, classes: list[str]):
        self.settings = settings
        self.classes = classes

    # === the model ===

    def model_arguments(self) -> dict[str, typing.Any]:
        return {"classes": len(self.classes)}

    # === training ===

    def annotations(self, example: dict[str, tf.Tensor], frame: Frame, shape: tf.Tensor) -> Batch:
        del frame, shape
        return {"labels": self._present(example)}

    def _present(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns float32 [classes], 1 for those that are there."""
        found = tf.one_hot(example["objects"]["label"], len(self.classes))
        return tf.minimum(tf.reduce_sum(found, axis=0), 1.0)

    def inputs_and_targets(self, batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del seed
        return batch["images"], batch["labels"]

    def loss(self) -> keras.losses.Loss:
        how = {"from_logits": True, "label_smoothing": self.settings.label_smoothing}
        if self.settings.loss == "focal":
            return keras.losses.BinaryFocalCrossentropy(gamma=self.settings.focal_gamma, **how)
        return keras.losses.BinaryCrossentropy(**how)

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.BinaryAccuracy(name="label_accuracy", threshold=0.0)]  # of logits

    # === serving ===

    def decode(self, inputs: tf.Tensor, raw: tf.Tensor, frame: Frame) -> dict[str, tf.Tensor]:
        """Returns `probabilities`, `present` and `class_name` ("" for what is absent), all [n, classes]."""
        del inputs, frame
        probabilities = tf.nn.sigmoid(raw)
        present = probabilities > _THRESHOLD
        names = tf.where(present, tf.constant(self.classes)[None], "")
        return {"probabilities": probabilities, "present": present, "class_name": names}

    def thresholds(self) -> dict[str, float]:
        return {"probabilities": _THRESHOLD}

    # === evaluation ===

    def truth(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        return self._present(example) > 0

    def check(self, outputs: Outputs) -> str:
        missing = {"probabilities", "present"} - set(outputs)
        if missing:
            return f"outputs {', '.join(sorted(outputs))}, but no `{min(missing)}`"
        probabilities = outputs["probabilities"]
        if probabilities.shape[1:] != (len(self.classes),):
            return f"probabilities of shape {probabilities.shape}, for {len(self.classes)} classes"
        if not np.isfinite(probabilities).all():
            return "probabilities that are no numbers"
        told = set(outputs.get("class_name", np.array([])).ravel().tolist()) - {"", *self.classes}
        return f"other names of classes than the data has: {', '.join(sorted(told)[:3])}" if told else ""

    def record(self, truth: np.ndarray, outputs: Outputs) -> Records:
        return {"targets": truth, "probabilities": outputs["probabilities"], "present": outputs["present"]}

    def weighted(self, records: Records) -> Scores:
        truth, probabilities = records["targets"], records["probabilities"]
        rankings = metrics.Rankings.of(probabilities, truth, self.classes)

        def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
            accuracies = metrics.multilabel_accuracy(probabilities, truth, weights, _THRESHOLD)
            return accuracies | rankings(weights)

        rests = dict.fromkeys(("subset_accuracy", "label_accuracy"), np.arange(len(truth)))
        return Scores(compute, rests | rankings.rests(len(truth)), {"subset_accuracy"})

    def badness(self, records: Records) -> np.ndarray:
        wrong = records["present"] != records["targets"]
        error = np.abs(records["targets"] - records["probabilities"]).max(axis=1)
        return np.where(wrong.any(axis=1), error, error - 1.0)

    def caption(self, record: dict[str, typing.Any]) -> str:
        truth, present = record["targets"], record["present"]
        parts = [
            ("has", truth & present),
            ("missed", truth & ~present),
            ("wrongly said", present & ~truth),
        ]
        told = (self._named(word, rows, record["probabilities"]) for word, rows in parts if rows.any())
        return "; ".join(told) or "nothing is there, nothing was said"

    def _named(self, word: str, rows: np.ndarray, probabilities: np.ndarray) -> str:
        labels = np.flatnonzero(rows).tolist()
        return f"{word} " + ", ".join(f"{self.classes[i]} ({probabilities[i]:.3f})" for i in labels)

    def picture(self, image: bytes, outputs: Outputs, record: dict[str, typing.Any]) -> bytes:
        del outputs, record
        return image

    def plots(
        self, records: Records, bootstrap: int = 0, seed: int = 0, groups: np.ndarray | None = None
    ) -> list[dict[str, typing.Any]]:
        truth, probabilities = records["targets"], records["probabilities"]
        drawn = curves.plots(probabilities, truth, self.classes, bootstrap, seed, groups)
        return [*drawn, self._counts(truth, records["present"])]

    def _counts(self, truth: np.ndarray, present: np.ndarray) -> dict[str, typing.Any]:
        found = {"found": truth & present, "missed": truth & ~present, "wrongly said": present & ~truth}
        return {
            "kind": "counts",
            "title": "Answers by class",
            "caption": f"Images, at a threshold of {_THRESHOLD:g}.",
            "x": "images",
            "y": "class",
            "groups": {
                name: dict(zip(self.classes, map(int, rows.sum(axis=0)), strict=True))
                for name, rows in found.items()
            },
        }
