"""Reconstruction: an image in, the same image out, through a code that is too small for it."""

import typing
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.metrics import reconstruction as metrics
from conveyor.models.metrics.weighted import Weighted, evaluate, measure
from conveyor.models.ops.images import add_noise, decode_image, encode_noisy
from conveyor.models.tasks.settings import ReconstructionSettings
from conveyor.models.tasks.task import Batch, Metrics, Outputs, Records

_LOSSES = {"bce": keras.losses.BinaryCrossentropy, "mse": keras.losses.MeanSquaredError}
_COLUMNS = ("bce", "mse", "psnr", "ssim")
_BINS = 40


class Reconstruction:
    """A dict of `reconstruction` and `code` in; both, an anomaly score and a verdict out.

    Images are float32 in [0, 1].

    Args:
        settings: Settings of the task.
        classes: Names of the classes of the data, which play no part.
    """

    def __init__(self, settings: ReconstructionSettings, classes: list[str]):
        self.settings = settings
        self.classes = classes
        self.threshold = float("inf")

    # === the model ===

    def model_arguments(self) -> dict[str, typing.Any]:
        return {}

    # === training ===

    def annotations(self, example: dict[str, tf.Tensor]) -> Batch:
        del example
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

    def decode(self, inputs: tf.Tensor, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        score = _score(inputs, raw)
        return {**raw, "anomaly_score": score, "is_anomaly": score > self.threshold}

    # === evaluation ===

    def request(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        noise = self.settings.noise
        return encode_noisy(example["image"], noise, example["id"]) if noise else example["image"]

    def truth(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        return example["image"]

    def check(self, outputs: Outputs) -> str:
        missing = {"reconstruction", "anomaly_score", "is_anomaly"} - set(outputs)
        if missing:
            return f"outputs {', '.join(sorted(outputs))}, but no `{min(missing)}`"
        images = outputs["reconstruction"]
        if images.ndim != 4 or images.shape[3] not in (1, 3):
            return f"a reconstruction of shape {images.shape}, which is no batch of images"
        return "" if np.isfinite(images).all() else "a reconstruction of values that are no numbers"

    def record(self, truth: np.ndarray, outputs: Outputs) -> Records:
        found = outputs["reconstruction"]
        images = np.stack([_clean(data, found.shape[1:]) for data in truth])
        error = metrics.squared_error(images, found)
        return {
            "bce": metrics.binary_crossentropy(images, found),
            "mse": error,
            "psnr": metrics.peak_signal_to_noise(error),
            "ssim": metrics.structural_similarity(images, found),
            "anomaly_score": outputs["anomaly_score"],
            "is_anomaly": outputs["is_anomaly"],
        }

    def weighted(self, records: Records) -> Weighted:
        names = (*_COLUMNS, "anomaly_share")
        columns = [records[name].astype(np.float64) for name in (*_COLUMNS, "is_anomaly")]

        def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
            totals = weights.sum(axis=1)
            return {name: weights @ column / totals for name, column in zip(names, columns, strict=True)}

        return compute

    def measure(self, records: Records) -> dict[str, float | None]:
        return measure(self.weighted(records), len(records["mse"]))

    def evaluate(self, records: Records, bootstrap: int, seed: int) -> Metrics:
        return evaluate(self.weighted(records), len(records["mse"]), bootstrap, seed)

    def badness(self, records: Records) -> np.ndarray:
        return records["mse"]

    def caption(self, record: dict[str, typing.Any]) -> str:
        verdict = "anomaly" if record["is_anomaly"] else "normal"
        return f"squared error {record['mse']:.4f}, anomaly score {record['anomaly_score']:.4f} ({verdict})"

    def picture(self, image: bytes, outputs: Outputs) -> bytes:
        found = outputs["reconstruction"]
        asked = _clean(image, found.shape)
        pixels = np.concatenate([asked, np.ones_like(asked[:, :1]), found], axis=1)
        return tf.io.encode_png(np.round(pixels * 255).astype(np.uint8)).numpy()

    def plots(self, records: Records) -> list[dict[str, typing.Any]]:
        counts, edges = np.histogram(records["anomaly_score"], bins=_BINS)
        normal, odd = (records["anomaly_score"][records["is_anomaly"] == flag] for flag in (False, True))
        threshold = [float(normal.max()), float(odd.min())] if len(normal) and len(odd) else []
        return [
            {
                "kind": "lines",
                "title": "Anomaly scores",
                "caption": "Images by the squared error between what the model was given and what it made"
                " of it. Right of the dashed line, a quantile of the validation split, are anomalies.",
                "x": "anomaly score",
                "y": "images",
                "mark": float(np.mean(threshold)) if threshold else None,
                "series": [
                    {"name": "images", "x": ((edges[1:] + edges[:-1]) / 2).tolist(), "y": counts.tolist()}
                ],
            }
        ]


def _score(inputs: tf.Tensor, raw: dict[str, tf.Tensor]) -> tf.Tensor:
    """Returns float32 [n]: the mean squared difference of input and reconstruction."""
    squares = tf.math.squared_difference(inputs, tf.cast(raw["reconstruction"], tf.float32))
    return tf.reduce_mean(squares, axis=[1, 2, 3])


def _clean(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Returns float32 [height, width, channels] in [0, 1] of an encoded image."""
    return decode_image(tf.constant(data), (shape[0], shape[1]), shape[2]).numpy() / np.float32(255)
