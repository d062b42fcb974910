"""The training objects, as the model will meet them."""

import typing

import numpy as np
import tensorflow as tf

from conveyor.components.artifacts import Examples
from conveyor.components.facts import read_facts
from conveyor.models.metrics.detection.objects import Truth
from conveyor.models.ops.frames import fit_size, frame_of

_COLUMNS = ("label", "x1", "y1", "x2", "y2", "area", "crowd", "difficult")


def training_objects(examples: Examples, document: dict[str, typing.Any]) -> Truth:
    """Returns the objects of the training split, in pixels of the model's input.

    Args:
        examples: The data.
        document: Of a TransformGraph.
    """
    facts = read_facts(examples, ["width", "height", "objects"], "train")
    objects = facts["objects"].to_pylist()
    image = np.repeat(np.arange(len(objects)), [len(own) for own in objects])
    rows = [[found[name] for name in _COLUMNS] for own in objects for found in own]
    columns = dict(zip(_COLUMNS, np.array(rows, np.float64).reshape(-1, len(_COLUMNS)).T, strict=True))
    own = np.stack([facts[side].to_numpy() for side in ("height", "width")], -1).astype(np.int32)
    scales = _scales(own, document)[image]
    boxes = np.stack([columns[side] for side in ("x1", "y1", "x2", "y2")], -1)
    return Truth.of(
        image,
        columns["label"].astype(np.int64),
        boxes * np.tile(scales[:, ::-1], 2),
        columns["area"] * scales.prod(-1),
        columns["crowd"] > 0,
        columns["difficult"] > 0,
    )


def object_sizes(objects: Truth) -> np.ndarray:
    """Returns width and height of all objects but crowds, float64 [n, 2], as `Model.fitted` takes them."""
    boxes = objects.box[~objects.crowd]
    sizes = boxes[:, 2:] - boxes[:, :2]
    return sizes[(sizes > 0).all(1)]


def _scales(own: np.ndarray, document: dict[str, typing.Any]) -> np.ndarray:
    """Returns pixels of the model's input for one of the images', float64 [n, 2], down and across."""
    size = (document["height"], document["width"])
    if document["resize"] == "none":
        return np.ones(own.shape)
    fitted = fit_size(own, size) if document["resize"] == "letterbox" else tf.broadcast_to(size, own.shape)
    return frame_of(tf.constant(own), tf.cast(fitted, tf.int32))["scales"].numpy().astype(np.float64)
