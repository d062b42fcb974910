"""What happens inside a model on chosen images: feature maps, heat maps, the first layer's filters."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.describe.graph import Step, run, walk
from conveyor.models.explain.score import is_map, score


@dataclasses.dataclass(frozen=True)
class Maps:
    """Feature maps of one layer.

    Args:
        layer: Its name.
        values: float32 [n, height, width, channels].
    """

    layer: str
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen of a batch of images.

    Args:
        features: Maps of some layers, from the image on; of each the channels that vary most.
        heat: Where the answer comes from: one channel in [0, 1]. None without a feature map.
    """

    features: list[Maps]
    heat: Maps | None


def look(model: keras.Model, images: np.ndarray, layers: int = 4, channels: int = 8) -> Look:
    """Runs a model on images and keeps what can be shown.

    Args:
        model: A functional model of one image [height, width, channels].
        images: float32 [n, height, width, channels], as the model takes them; a few.
        layers: Layers with feature maps, at the most: the last of each size of map, evenly spaced.
        channels: Of each.

    Returns:
        Nothing seen where the model has no feature maps.

    Source: heat is Grad-CAM, Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-based Localization", ICCV 2017, equations 1 and 2, at the last map that the score
    depends on; of maps of logits, at the features that they are scores of. The score is
    `conveyor.models.explain.score.score`.
    """
    graph = walk(model)
    with tf.GradientTape(persistent=True) as tape:
        batch = tf.constant(images)
        tape.watch(batch)
        values = run(graph.steps, [batch])
        raw = graph.answer(values)
        told = score(raw)
    shown = _last_of_each_size(graph.steps, values)
    chosen = [shown[index] for index in _evenly(len(shown), layers)]
    features = [Maps(graph.steps[at].name, _varied(values[at][0], channels)) for at in chosen]
    until = _before_scores(graph.steps, model) if is_map(raw) else len(graph.steps)
    return Look(features, _heat(graph.steps[:until], values, told, tape))


def filters(model: keras.Model, most: int = 64) -> Maps | None:
    """Returns the filters of the first layer with weights, as pictures.

    Args:
        model: A functional model of one image [height, width, channels].
        most: Filters, at the most; the first.

    Returns:
        Values in [0, 1], 0.5 for a weight of 0, each filter by its own largest weight; [filters,
        height, width, 1 or 3]. The weights of a dense layer on the pixels are filters of the image's
        size. None where there is no picture of them.
    """
    steps = walk(model).steps
    image = steps[0].output
    for step in steps[1:]:
        kernel = getattr(step.layer, "kernel", None)
        if kernel is None:
            continue
        weights = np.asarray(keras.ops.convert_to_numpy(kernel), np.float32)
        if (
            weights.ndim == 2
            and len(image) == 3
            and weights.shape[0] == math.prod(side or 0 for side in image)
        ):
            weights = weights.reshape([side or 0 for side in image] + [-1])
        if weights.ndim != 4 or max(weights.shape[:2]) == 1:
            return None
        pictures = np.moveaxis(weights, -1, 0)[:most]
        if pictures.shape[-1] != 3:
            pictures = pictures.mean(axis=-1, keepdims=True)
        largest = np.abs(pictures).max(axis=(1, 2, 3), keepdims=True)
        return Maps(step.name, 0.5 + 0.5 * pictures / np.where(largest > 0, largest, 1))
    return None


def _is_map(step: Step) -> bool:
    return len(step.output) == 3 and all(side is None or side > 1 for side in step.output[:2])


def _last_of_each_size(steps: list[Step], values: list[list[tf.Tensor]]) -> list[int]:
    maps = [index for index, step in enumerate(steps) if _is_map(step) and step.arguments is not None]
    return [
        index
        for number, index in enumerate(maps)
        if number + 1 == len(maps)
        or values[maps[number + 1]][0].shape[1:3] != values[index][0].shape[1:3]  # a layer may know no sides
    ]


def _evenly(count: int, most: int) -> list[int]:
    """Returns at most so many of the numbers from 0 to count - 1, the first and the last included."""
    taken = min(most, count)
    return [round(number * (count - 1) / max(taken - 1, 1)) for number in range(taken)]


def _varied(values: tf.Tensor, channels: int) -> np.ndarray:
    """Returns the channels that vary most from place to place, in their order."""
    maps = tf.cast(values, tf.float32).numpy()
    spread = maps.std(axis=(1, 2)).mean(axis=0)
    return maps[..., np.sort(np.argsort(-spread, kind="stable")[:channels])]


def _before_scores(steps: list[Step], model: keras.Model) -> int:
    """Returns how many steps lead to a model's features, of which the others make scores; all, if unknown."""
    names = [step.name for step in steps]
    name = getattr(model, "features_layer", "")
    return names.index(name) + 1 if name in names else len(steps)


def _heat(
    steps: list[Step], values: list[list[tf.Tensor]], told: tf.Tensor, tape: tf.GradientTape
) -> Maps | None:
    for index in range(len(steps) - 1, 0, -1):
        step = steps[index]
        if (
            not _is_map(step)
            or hasattr(step.layer, "pool_size")
            or isinstance(step.layer, keras.layers.Dropout)
        ):
            continue  # the map before a last pooling shows more
        features = values[index][0]
        gradient = tape.gradient(told, features)
        if gradient is not None:
            weights = tf.reduce_mean(tf.cast(gradient, tf.float32), axis=(1, 2), keepdims=True)
            heat = tf.nn.relu(tf.reduce_sum(weights * tf.cast(features, tf.float32), axis=-1, keepdims=True))
            largest = tf.reduce_max(heat, axis=(1, 2, 3), keepdims=True)
            return Maps(step.name, tf.math.divide_no_nan(heat, largest).numpy())
    return None
