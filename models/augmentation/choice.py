"""Layers that choose for each image what is done to it."""

import typing

import keras
import tensorflow as tf

from conveyor.models.augmentation.seeds import Seeds
from conveyor.models.augmentation.steps import Batch, Step


def choose(batch: Batch, chosen: tf.Tensor, steps: list[Step], seeds: Seeds) -> Batch:
    """Does to each image what is chosen for it, and only that.

    Args:
        batch: Of n images.
        chosen: int32 [n], places in `steps`.
        steps: What can be done.
        seeds: Of what they draw.
    """
    batch = {**batch, "images": tf.cast(batch["images"], tf.float32)}
    places = tf.dynamic_partition(tf.range(tf.shape(chosen)[0]), chosen, len(steps))
    parts = [_done(_part(batch, own), step, seeds) for step, own in zip(steps, places, strict=True)]
    _pad_boxes(parts)
    together = tf.nest.map_structure(lambda *values: tf.dynamic_stitch(places, values), *parts)
    return {key: _shaped_like(batch[key], values) for key, values in together.items()}


def _part(batch: Batch, own: tf.Tensor) -> Batch:
    return tf.nest.map_structure(lambda values: tf.gather(values, own), batch)


def _done(part: Batch, step: Step, seeds: Seeds) -> Batch:
    """Returns a part of a batch after a step; as it is where it is empty, which not all of Keras allows."""
    own = Seeds(seeds.next())
    return tf.cond(tf.shape(part["images"])[0] > 0, lambda: step(part, own), lambda: part)


def _shaped_like(before: typing.Any, after: typing.Any) -> typing.Any:
    """Says again how many images there are, which the graph cannot know; of boxes there may be more."""
    return tf.nest.map_structure(
        lambda old, new: tf.ensure_shape(new, [old.shape[0], *new.shape[1:]]), before, after
    )


def _pad_boxes(parts: list[Batch]) -> None:
    """Brings parts, some of which mixed images, to the same number of boxes."""
    if "bounding_boxes" not in parts[0]:
        return
    counts = {part["bounding_boxes"]["labels"].shape[1] for part in parts}
    if len(counts) == 1 and None not in counts:
        return
    most = tf.reduce_max([tf.shape(part["bounding_boxes"]["labels"])[1] for part in parts])
    for part in parts:
        found = part["bounding_boxes"]
        lacking = most - tf.shape(found["labels"])[1]
        part["bounding_boxes"] = {
            "boxes": tf.pad(found["boxes"], [[0, 0], [0, lacking], [0, 0]], constant_values=-1),
            "labels": tf.pad(found["labels"], [[0, 0], [0, lacking]], constant_values=-1),
        }


def repeat(times: int, step: Step, batch: Batch, seeds: Seeds) -> Batch:
    """Does a step so many times, in a graph that holds it once."""
    base = seeds.next()

    def once(batch: Batch, time: tf.Tensor) -> Batch:
        return step(batch, Seeds(tf.random.experimental.stateless_fold_in(base, time)))

    batch = {**batch, "images": tf.cast(batch["images"], tf.float32)}
    return tf.foldl(once, tf.range(times), batch, parallel_iterations=1)


def same(batch: Batch, seeds: Seeds) -> Batch:
    """Does nothing."""
    del seeds
    return batch


def any_of(steps: list[Step]) -> Step:
    """Returns the step that does to each image any one of the steps."""

    def apply(batch: Batch, seeds: Seeds) -> Batch:
        chosen = seeds.integers(tf.shape(batch["images"])[0], len(steps))
        return choose(batch, chosen, steps, seeds)

    return apply


class Sometimes:
    """Does something to some of the images.

    Args:
        step: What.
        probability: For each image, in [0, 1].
    """

    def __init__(self, step: Step, probability: float):
        self._step, self._probability = step, probability

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        count = tf.shape(batch["images"])[0]
        chosen = tf.cast(seeds.uniform(count) < self._probability, tf.int32)
        return choose(batch, chosen, [same, self._step], seeds)


class RandAugment:
    """Keras's RandAugment, its layers chosen for each image; Keras's own chooses them for a whole batch.

    Source: Cubuk et al., RandAugment, figure 2.

    Args:
        layer: The layer, for its arguments.
        steps: What is chosen from.
    """

    def __init__(self, layer: keras.layers.RandAugment, steps: list[Step]):
        self._layer, self._steps = layer, steps

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        return repeat(self._layer.num_ops, any_of(_fitting(self._steps, batch)), batch, seeds)


class AugMix:
    """Keras's AugMix, its layers chosen for each image; Keras's own chooses them once for a whole training.

    Source: Hendrycks et al., AugMix, algorithm 1.

    Args:
        layer: The layer, for its arguments.
        steps: What is chosen from.
    """

    def __init__(self, layer: keras.layers.AugMix, steps: list[Step]):
        self._layer, self._steps = layer, steps

    def __call__(self, batch: Batch, seeds: Seeds) -> Batch:
        if moving := {"segmentation_masks", "bounding_boxes"} & set(batch):
            raise ValueError(
                f"expected labels only, as pixels go to several places. Received: {sorted(moving)[0]}"
            )
        images = tf.cast(batch["images"], tf.float32)
        count, chains, alpha = tf.shape(images)[0], self._layer.num_chains, self._layer.alpha
        step = any_of([*_fitting(self._steps, batch), same])
        together = {"images": tf.repeat(images, chains, axis=0)}
        together = repeat(self._layer.chain_depth, step, together, seeds)
        gamma = keras.random.gamma((count, chains), alpha, seed=seeds)
        share = gamma / tf.reduce_sum(gamma, 1, keepdims=True)
        several = tf.reshape(together["images"], [count, chains, *images.shape[1:]])
        mixed = tf.einsum("nc,nchwk->nhwk", share, several)
        own = keras.random.beta((count,), alpha, alpha, seed=seeds)[:, None, None, None]
        return {**batch, "images": tf.clip_by_value(own * images + (1 - own) * mixed, 0, 255)}


def _fitting(steps: list[typing.Any], batch: Batch) -> list[Step]:
    """Returns the steps that images of so many channels allow."""
    channels = batch["images"].shape[-1]
    return [step for step in steps if getattr(step, "channels", None) in (None, channels)]
