"""Reconstruction: an image in, the same image out, through a code that is too small for it."""

import math
import typing
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.metrics import reconstruction as metrics
from conveyor.models.metrics.classification import Ranking
from conveyor.models.metrics.weighted import Scores
from conveyor.models.ops.frames import Frame
from conveyor.models.ops.images import add_noise, decode_image, encode_noisy
from conveyor.models.tasks import curves
from conveyor.models.tasks.settings import ReconstructionSettings
from conveyor.models.tasks.task import Batch, Outputs, Records, Task

_LOSSES = {"bce": keras.losses.BinaryCrossentropy, "mse": keras.losses.MeanSquaredError}
_COLUMNS = ("bce", "mse", "psnr", "ssim")
_AREAS = ("anomaly_average_precision", "anomaly_roc_auc")
_BINS = 40


class Reconstruction(Task):
    """A dict of `reconstruction` and `code` in; both, an anomaly score and a verdict out.

    Images are float32 in [0, 1].

    Args:
        settings: Settings of the task.
        classes: Names of the classes of the data; they play no part unless some are said to be normal.

    Raises:
        ValueError: What is said to be normal is no class.
    """

    settings: ReconstructionSettings

    def __init__(self, settings: ReconstructionSettings, classes: list[str]):
        self.settings = settings
        self.classes = classes
        self.threshold = float("inf")
        if unknown := sorted(set(settings.normal) - set(classes)):
            raise ValueError(
                f"expected `normal` to name classes, which are {', '.join(classes) or 'none'}."
                f" Received: {', '.join(unknown)}"
            )
        self._normal = [classes.index(name) for name in settings.normal]
        self.learns_from = self._is_normal if self._normal else None

    # === the model ===

    def model_arguments(self) -> dict[str, typing.Any]:
        return {}

    # === training ===

    def _is_normal(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [n] of labels int [n]."""
        return np.isin(labels, self._normal)

    def annotations(self, example: dict[str, tf.Tensor], frame: Frame, shape: tf.Tensor) -> Batch:
        del example, frame, shape
        return {}

    def inputs_and_targets(self, batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        images = batch["images"]
        noisy = add_noise(images, self.settings.noise, seed) if self.settings.noise else images
        return noisy, {"reconstruction": images}

    def loss(self) -> dict[str, keras.losses.Loss]:
        return {"reconstruction": _LOSSES[self.settings.loss]()}

    def metrics(self) -> dict[str, list[keras.metrics.Metric]]:
        return {"reconstruction": [keras.metrics.MeanSquaredError(name="mse")]}

    def calibrate(self, answers: Iterable[tuple[np.ndarray, typing.Any]]) -> None:
        scores = [_score(tf.constant(inputs), raw).numpy() for inputs, raw in answers]
        self.threshold = float(np.quantile(np.concatenate(scores), self.settings.normal_share))

    # === serving ===

    def decode(self, inputs: tf.Tensor, raw: dict[str, tf.Tensor], frame: Frame) -> dict[str, tf.Tensor]:
        del frame
        score = _score(inputs, raw)
        return {**raw, "anomaly_score": score, "is_anomaly": score > self.threshold}

    def thresholds(self) -> dict[str, float]:
        return {"anomaly_score": self.threshold} if math.isfinite(self.threshold) else {}

    def take_thresholds(self, values: dict[str, float]) -> None:
        self.threshold = values.get("anomaly_score", float("inf"))

    # === evaluation ===

    def request(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        noise = self.settings.noise
        return encode_noisy(example["image"], noise, example["id"]) if noise else example["image"]

    def truth(self, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: example[name] for name in ("image", *(["label"] if self._normal else []))}

    def check(self, outputs: Outputs) -> str:
        missing = {"reconstruction", "anomaly_score", "is_anomaly"} - set(outputs)
        if missing:
            return f"outputs {', '.join(sorted(outputs))}, but no `{min(missing)}`"
        images = outputs["reconstruction"]
        if images.ndim != 4 or images.shape[3] not in (1, 3):
            return f"a reconstruction of shape {images.shape}, which is no batch of images"
        return "" if np.isfinite(images).all() else "a reconstruction of values that are no numbers"

    def record(self, truth: dict[str, np.ndarray], outputs: Outputs) -> Records:
        found = outputs["reconstruction"]
        images = np.stack([_clean(data, found.shape[1:]) for data in truth["image"]])
        error = metrics.squared_error(images, found)
        targets = {"targets": ~self._is_normal(truth["label"])} if self._normal else {}
        return {
            **targets,
            "bce": metrics.binary_crossentropy(images, found),
            "mse": error,
            "psnr": metrics.peak_signal_to_noise(error),
            "ssim": metrics.structural_similarity(images, found),
            "anomaly_score": outputs["anomaly_score"],
            "is_anomaly": outputs["is_anomaly"],
        }

    def weighted(self, records: Records) -> Scores:
        names = (*_COLUMNS, "anomaly_share")
        columns = [records[name].astype(np.float64) for name in (*_COLUMNS, "is_anomaly")]
        ranking = Ranking.of(records["anomaly_score"], records["targets"]) if self._normal else None

        def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
            totals = weights.sum(axis=1)
            found = {name: weights @ column / totals for name, column in zip(names, columns, strict=True)}
            areas = ranking.areas(weights) if ranking else ()
            return found | dict(zip(_AREAS, areas, strict=False))

        rests = {"anomaly_share": np.arange(len(columns[0]))}
        rests |= dict(zip(_AREAS, ranking.rests() if ranking else (), strict=False))
        return Scores(compute, rests, {"anomaly_share"})

    def badness(self, records: Records) -> np.ndarray:
        if "targets" not in records or not math.isfinite(self.threshold):
            return records["mse"]
        beyond = records["anomaly_score"] - self.threshold
        return np.where(records["targets"], -beyond, beyond)

    def caption(self, record: dict[str, typing.Any]) -> str:
        words = ("normal", "anomaly")
        verdict = words[int(record["is_anomaly"])]
        if "targets" in record:
            verdict = f"is {words[int(record['targets'])]}, taken for {verdict}"
        return f"squared error {record['mse']:.4f}, anomaly score {record['anomaly_score']:.4f} ({verdict})"

    def picture(self, image: bytes, outputs: Outputs, record: dict[str, typing.Any]) -> bytes:
        del record
        found = outputs["reconstruction"]
        asked = _clean(image, found.shape)
        pixels = np.concatenate([asked, np.ones_like(asked[:, :1]), found], axis=1)
        return tf.io.encode_png(np.round(pixels * 255).astype(np.uint8)).numpy()

    def plots(
        self, records: Records, bootstrap: int = 0, seed: int = 0, groups: np.ndarray | None = None
    ) -> list[dict[str, typing.Any]]:
        scores, said = records["anomaly_score"], records["is_anomaly"]
        bins = np.histogram_bin_edges(scores, bins=_BINS)
        found, parts = [], {"images": np.ones(len(scores), bool)}
        if "targets" in records:
            odd = records["targets"]
            found = curves.plots(scores[:, None], odd[:, None], ["anomalies"], bootstrap, seed, groups)
            parts = {"normal": ~odd, "anomalies": odd}
        limits = [float(scores[~said].max()), float(scores[said].min())] if 0 < said.sum() < len(said) else []
        histogram = {
            "kind": "lines",
            "title": "Anomaly scores",
            "caption": "Images by the squared error between what the model was given and what it made"
            " of it. Right of the dashed line, a quantile of the validation split, are anomalies.",
            "x": "anomaly score",
            "y": "images",
            "mark": float(np.mean(limits)) if limits else None,
            "series": [
                {
                    "name": name,
                    "x": ((bins[1:] + bins[:-1]) / 2).tolist(),
                    "y": np.histogram(scores[rows], bins=bins)[0].tolist(),
                }
                for name, rows in parts.items()
            ],
        }
        return [*found, histogram]


def _score(inputs: tf.Tensor, raw: dict[str, tf.Tensor]) -> tf.Tensor:
    """Returns float32 [n]: the mean squared difference of input and reconstruction."""
    squares = tf.math.squared_difference(inputs, tf.cast(raw["reconstruction"], tf.float32))
    return tf.reduce_mean(squares, axis=[1, 2, 3])


def _clean(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Returns float32 [height, width, channels] in [0, 1] of an encoded image."""
    return decode_image(tf.constant(data), (shape[0], shape[1]), shape[2]).numpy() / np.float32(255)
