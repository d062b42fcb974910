"""Training windows of images in memory against plain tf.data: a crop of each image, then a batch.

    python benchmarks/bench_windows.py [PAIRS]

Prints the median ratio of processor time for batches of 64 windows of 48x48 with masks, from images of 96x96:
from anywhere, and around something of a random class. The peer maps `tf.image.stateless_random_crop` over the
images, in as many threads as there are processors, and takes windows from anywhere in both cases.
"""

import statistics
import sys
import time

import numpy as np
import tensorflow as tf

from conveyor.components.trainer.flat import Flat
from conveyor.components.trainer.windows import Windows

IMAGES, SIDE, WINDOW, BATCH, CLASSES = 2000, 96, 48, 64, 11
BATCHES = 300


def made() -> tuple[np.ndarray, np.ndarray]:
    """Returns images and masks of random blocks."""
    rng = np.random.default_rng(0)
    masks = np.zeros((IMAGES, SIDE, SIDE, 1), np.uint8)
    for mask in masks:
        for top, left, label in rng.integers([0, 0, 1], [SIDE - 20, SIDE - 20, CLASSES], (3, 3)):
            mask[top : top + 20, left : left + 20] = label
    return rng.integers(0, 256, (IMAGES, SIDE, SIDE, 1)).astype(np.uint8), masks


def ours(images: np.ndarray, masks: np.ndarray, foreground: float) -> tf.data.Dataset:
    """Returns batches of windows."""
    windows = Windows({"height": WINDOW, "width": WINDOW, "stride": 1, "fill": [0]}, foreground)
    spec = {name: tf.TensorSpec([None, None, 1], tf.uint8) for name in ("images", "segmentation_masks")}
    pairs = ({"images": image, "segmentation_masks": mask} for image, mask in zip(images, masks, strict=True))
    examples = tf.data.Dataset.from_generator(lambda: pairs, output_signature=spec).map(windows.looked_at)
    flat = Flat(examples, IMAGES, windows)
    positions = tf.data.Dataset.range(IMAGES).repeat().batch(BATCH).enumerate()
    cut = positions.map(
        lambda number, some: flat.cut(some, tf.stack([1, tf.cast(number, tf.int32)])),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return cut.prefetch(tf.data.AUTOTUNE)


def plain(images: np.ndarray, masks: np.ndarray) -> tf.data.Dataset:
    """Returns batches of crops."""
    both = tf.constant(np.concatenate([images, masks], -1))

    def crop(number: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.stack([1, tf.cast(number, tf.int32)])
        window = tf.image.stateless_random_crop(both[position], [WINDOW, WINDOW, 2], seed)
        return window[..., :1], window[..., 1:]

    positions = tf.data.Dataset.range(IMAGES).repeat().enumerate()
    return positions.map(crop, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def milliseconds(dataset: tf.data.Dataset) -> float:
    """Returns processor time of a batch."""
    batches = iter(dataset.take(BATCHES + 10))
    for _ in range(10):
        next(batches)
    began = time.process_time()
    for _ in batches:
        pass
    return 1e3 * (time.process_time() - began) / BATCHES


def main(pairs: int) -> None:
    """Prints a line for each share of windows around something."""
    images, masks = made()
    peer = plain(images, masks)
    for foreground in (0.0, 1.0):
        own = ours(images, masks, foreground)
        times = [(milliseconds(own), milliseconds(peer)) for _ in range(pairs)]
        ratios = [mine / theirs for mine, theirs in times]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        took = statistics.median(mine for mine, _ in times)
        print(
            f"foreground {foreground:g}: {took:.1f} ms a batch, {statistics.median(ratios):.2f} ({spread}) of"
            " the peer's",
            flush=True,
        )


if __name__ == "__main__":
    main(int((*sys.argv[1:], "5")[0]))
