"""Suspect labels of whole images, judged by thumbnail and colours."""

import pathlib

import numpy as np
import pyarrow as pa

from conveyor.components.artifacts import Examples
from conveyor.components.example_images import read_images
from conveyor.components.label_errors.appearance import SIDE, edges, moments
from conveyor.components.label_errors.gallery import SHOWN, Anomaly, anomaly, decode, enlarge
from conveyor.components.label_errors.judge import LEAST_PER_CLASS, Verdict, judge
from conveyor.components.leaks.fingerprint import HEADER, stack

COLUMNS = ("fingerprint", "pixel_sum", "pixel_square_sum", "width", "height")


def find_wrong_labels(
    examples: Examples, facts: pa.Table, bundles: np.ndarray, pictures: pathlib.Path
) -> list[Anomaly]:
    """Returns at most one anomaly, which names the images whose label looks wrong.

    Args:
        examples: The artifact.
        facts: A row per example in the order of content: key, label and `COLUMNS`.
        bundles: [n]; see `folds.bundle`.
        pictures: Folder for pictures.
    """
    labels = facts["label"].to_numpy().astype(np.int64)
    verdict = judge(features(facts), labels, bundles)
    if verdict is None:
        return []
    worst = verdict.worst_first(np.ones(len(verdict.rows), bool))
    if not len(worst):
        return []
    keys = [facts["key"][int(row)].as_py() for row in verdict.rows[worst]]
    names = examples.properties["classes"]
    captions = {
        key: f"{key}: labelled {names[labels[verdict.rows[index]]]}, looks like"
        f" {names[verdict.likely[index]]} ({verdict.confidence[index]:.2f})"
        for key, index in zip(keys[:SHOWN], worst, strict=False)
    }
    images = {key: decode(data) for key, data in read_images(examples, list(captions))}
    shown = [(enlarge(images[key]), caption) for key, caption in captions.items()]
    short = f"{len(worst):,} labels look wrong" if len(worst) > 1 else "1 label looks wrong"
    return [anomaly("label_error", short, _long(verdict, len(worst), labels), keys, pictures, shown)]


def features(facts: pa.Table) -> np.ndarray:
    """Returns edges, and means and deviations of the colours: [n, SHAPE + 6] float32."""
    prints = stack(facts["fingerprint"].to_pylist())
    shape = edges(prints[:, HEADER:].reshape(-1, SIDE, SIDE))
    sums, squares = (_channels(facts[name]) for name in ("pixel_sum", "pixel_square_sum"))
    pixels = facts["width"].to_numpy().astype(np.int64) * facts["height"].to_numpy()
    return np.concatenate([shape, moments(sums, squares, pixels)], axis=1)


def _channels(column: pa.ChunkedArray) -> np.ndarray:
    """Returns [n, 3] float64; grey is the same in each."""
    rows = [values * 3 if len(values) == 1 else values for values in column.to_pylist()]
    return np.array(rows, np.float64).reshape(-1, 3)


def _long(verdict: Verdict, suspects: int, labels: np.ndarray) -> str:
    judged = len(verdict.rows)
    left = np.count_nonzero(labels >= 0) - judged
    return (
        f"{suspects:,} of {judged:,} labels ({suspects / judged:.2%}) are contradicted by a simple"
        " classifier that had not seen these images or others of their group. Over all images it agrees"
        f" with {verdict.balanced_accuracy:.1%} of the labels, averaged over classes (chance:"
        f" {1 / verdict.classes:.1%}), so some suspects are its own mistakes. Confident learning (cleanlab)"
        f" estimates that {verdict.noise:.2%} of the labels are wrong."
        + (f" {left:,} labels of classes with under {LEAST_PER_CLASS} images are not judged." * bool(left))
    )
