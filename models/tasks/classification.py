"""Classification: one class per image."""

import typing

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.hierarchy.losses import hierarchical_loss
from conveyor.models.hierarchy.metrics import hierarchical_metrics
from conveyor.models.hierarchy.tree import LabelTree
from conveyor.models.losses.focal import FocalCrossentropy
from conveyor.models.metrics import classification as metrics
from conveyor.models.metrics.weighted import Scores
from conveyor.models.ops.frames import Frame
from conveyor.models.tasks import curves
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import Batch, Outputs, Records, Task, other_names


class Classification(Task):
    """Logits per class in, probabilities and the likeliest class out.

    Args:
        settings: Settings of the task.
        classes: Names of the classes, in label order.

    Raises:
        ValueError: The tree of the classes lacks one of them, or has others.
    """

    settings: ClassificationSettings

    def __init__(self, settings: ClassificationSettings, classes: list[str]):
        self.settings = settings
        self.classes = classes
        self.tree = LabelTree(settings.hierarchy.tree, classes) if settings.hierarchy else None

    # === the model ===

    def model_arguments(self) -> dict[str, typing.Any]:
        return {"classes": len(self.classes)}

    # === training ===

    def annotations(self, example: dict[str, tf.Tensor], frame: Frame, shape: tf.Tensor) -> Batch:
        del frame, shape
        return {"labels": tf.one_hot(example["label"], len(self.classes))}

    def inputs_and_targets(self, batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        del seed
        return batch["images"], batch["labels"]

    def loss(self) -> keras.losses.Loss:
        smoothing = self.settings.label_smoothing
        if self.settings.hierarchy and self.settings.hierarchy.loss != "none":
            return hierarchical_loss(self.settings.hierarchy, self.classes, smoothing)
        if self.settings.loss == "focal":
            return FocalCrossentropy(self.settings.focal_gamma, smoothing)
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    # === serving ===

    def decode(self, inputs: tf.Tensor, raw: tf.Tensor, frame: Frame) -> dict[str, tf.Tensor]:
        del inputs, frame
        probabilities = tf.nn.softmax(raw)
        best = tf.argmax(probabilities, axis=-1)
        return {
            "probabilities": probabilities,
            "class_id": best,
            "class_name": tf.gather(tf.constant(self.classes), best),
        }

    # === evaluation ===

    def truth(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        return example["label"]

    def check(self, outputs: Outputs) -> str:
        if "probabilities" not in outputs:
            return f"outputs {', '.join(sorted(outputs))}, but no `probabilities`"
        probabilities = outputs["probabilities"]
        if probabilities.shape[1:] != (len(self.classes),):
            return f"probabilities of shape {probabilities.shape}, for {len(self.classes)} classes"
        if not np.isfinite(probabilities).all():
            return "probabilities that are no numbers"
        names = np.array(self.classes)[probabilities.argmax(axis=1)]
        told = outputs.get("class_name", names)
        return other_names(told, names)

    def record(self, truth: np.ndarray, outputs: Outputs) -> Records:
        return {"targets": truth, **outputs}

    def weighted(self, records: Records) -> Scores:
        truth, probabilities = records["targets"], records["probabilities"]
        rankings = metrics.Rankings.of(probabilities, _one_hot(truth, len(self.classes)), self.classes)
        predicted = probabilities.argmax(axis=1)
        right = {"accuracy": predicted == truth}
        if len(self.classes) > 5:
            right["top5_accuracy"] = metrics.classes_ahead(probabilities, truth) < 5

        def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
            totals = weights.sum(axis=1)
            found = {name: weights @ hits / totals for name, hits in right.items()}
            found["ece"] = metrics.calibration_error(probabilities, truth, weights)
            if self.tree:
                found |= hierarchical_metrics(self.tree, predicted, truth, weights)
            return found | rankings(weights)

        levels = range(1, self.tree.depth) if self.tree else ()
        shares = {*right, *(f"accuracy_level_{level}" for level in levels)}
        rests = dict.fromkeys(shares, np.arange(len(truth))) | rankings.rests(len(truth))
        return Scores(compute, rests, shares, raised={"ece"})

    def badness(self, records: Records) -> np.ndarray:
        truth, probabilities = records["targets"], records["probabilities"]
        wrong = probabilities.argmax(axis=1) != truth
        own = probabilities[np.arange(len(truth)), truth]
        return np.where(wrong, 1.0 - own, -own)

    def caption(self, record: dict[str, typing.Any]) -> str:
        truth, probabilities = record["targets"], record["probabilities"]
        best = int(probabilities.argmax())
        if best == truth:
            return f"is {self.classes[truth]} ({probabilities[truth]:.3f})"
        return (
            f"is {self.classes[truth]} ({probabilities[truth]:.3f}),"
            f" taken for {self.classes[best]} ({probabilities[best]:.3f})"
        )

    def picture(self, image: bytes, outputs: Outputs, record: dict[str, typing.Any]) -> bytes:
        del outputs, record
        return image

    def plots(
        self, records: Records, bootstrap: int = 0, seed: int = 0, groups: np.ndarray | None = None
    ) -> list[dict[str, typing.Any]]:
        truth, probabilities = records["targets"], records["probabilities"]
        predicted = probabilities.argmax(axis=1)
        positive = _one_hot(truth, len(self.classes))
        return [
            *curves.plots(probabilities, positive, self.classes, bootstrap, seed, groups),
            {
                "kind": "matrix",
                "title": "Confusion matrix",
                "caption": "Examples by true class (rows) and predicted class (columns).",
                "rows": "true class",
                "columns": "predicted class",
                "labels": self.classes,
                "values": metrics.confusion_matrix(predicted, truth, len(self.classes)).tolist(),
            },
            self._reliability(truth, probabilities),
        ]

    def _reliability(self, truth: np.ndarray, probabilities: np.ndarray) -> dict[str, typing.Any]:
        bins = metrics.reliability(probabilities, truth)
        return {
            "kind": "lines",
            "title": "Reliability",
            "caption": "Share of right answers among answers given with a confidence. On the diagonal,"
            " a confidence is what it says; below it, the model is too sure of itself.",
            "x": "confidence",
            "y": "accuracy",
            "domain": [[0, 1], [0, 1]],
            "series": [
                {
                    "name": "model",
                    "x": [row["confidence"] for row in bins],
                    "y": [row["accuracy"] for row in bins],
                },
                {"name": "perfectly calibrated", "x": [0, 1], "y": [0, 1]},
            ],
        }


def _one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns bool [n, classes]."""
    return labels[:, None] == np.arange(classes)
