"""What changes for clients: the same images, answered by the newest version and by the one to follow it."""

import pathlib
import tempfile
import typing

import numpy as np
import tensorflow as tf
from etils import epath

from conveyor.components.artifacts import Examples, Model
from conveyor.components.datasets import read_split
from conveyor.components.evaluator.saved_model import open_served
from conveyor.components.pusher.versions import fetch, newest, provenance
from conveyor.pipeline.errors import UserError

_SAME = 1e-5  # numbers no further apart: processors and batch sizes round otherwise


def compare_with_newest(
    model: Model, base: str, examples: Examples, split: str, count: int
) -> dict[str, typing.Any] | None:
    """Asks the newest version, and the model that is to follow it, about the first images of a split.

    Args:
        model: What is to be published.
        base: A serving folder, which need not be there.
        examples: Where the images are.
        split: Which split.
        count: How many images.

    Returns:
        `version` that was asked; `images`, how many; `outputs`: name -> {`changed`: images for which it
        is another, `largest`: difference of any number, None for what is no number or of another shape};
        and `problem`, why the version could not be asked. None where there is no other model.
    """
    found = newest(base)
    if not count or found is None or provenance(found).get("model") == model.digest:
        return None
    images = [row["image"].numpy() for row in read_split(examples, split).take(count)]
    told = {"version": int(found.name), "images": len(images), "outputs": {}, "problem": ""}
    try:
        before = _answers_of_version(found, images)
    except (UserError, OSError, tf.errors.OpError) as error:
        problem = error.what if isinstance(error, UserError) else str(error).partition("\n")[0]
        return {**told, "problem": problem}
    now = _answers(model.saved_model, images)
    both = {name: _difference(before[name], now[name]) for name in before if name in now}
    one = {name: {"changed": len(images), "largest": None} for name in {*before, *now} - set(both)}
    return {**told, "outputs": dict(sorted({**both, **one}.items()))}


def _answers_of_version(version: epath.Path, images: list[bytes]) -> dict[str, list[np.ndarray]]:
    with tempfile.TemporaryDirectory() as folder:
        return _answers(fetch(version, pathlib.Path(folder)), images)


def _answers(saved_model: pathlib.Path, images: list[bytes]) -> dict[str, list[np.ndarray]]:
    """Returns output name -> what it is for each image."""
    served = open_served(saved_model)
    rows = [served(images=tf.constant([image])) for image in images]
    return {name: [row[name].numpy() for row in rows] for name in (rows[0] if rows else [])}


def _difference(before: list[np.ndarray], now: list[np.ndarray]) -> dict[str, typing.Any]:
    apart = [_apart(old, new) for old, new in zip(before, now, strict=True)]
    is_number = now[0].dtype.kind == "f" and bool(np.isfinite(apart).all())
    return {"changed": sum(gap > _SAME for gap in apart), "largest": max(apart) if is_number else None}


def _apart(old: np.ndarray, new: np.ndarray) -> float:
    """Returns the largest difference of numbers; 0 or infinity for anything else."""
    if old.shape == new.shape and old.dtype.kind == new.dtype.kind == "f":
        gap = float(np.abs(old.astype(np.float64) - new).max(initial=0.0))
        return gap if np.isfinite(gap) else float("inf")
    return 0.0 if np.array_equal(old, new) else float("inf")
