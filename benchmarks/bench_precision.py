"""Training in bfloat16 against float32: steps of convolutional networks, in turns, in one process.

    python benchmarks/bench_precision.py [PAIRS]

Prints the median ratio of speeds for networks from small to wide, and what `precision: auto` takes on this
machine. At reasonable width, bfloat16 must be 1.3 times as fast where it takes that, and no faster elsewhere.
"""

import statistics
import sys

import keras
import tensorflow as tf
from measure import rate

from conveyor.components.trainer.optimizers import make_optimizer
from conveyor.components.trainer.precision import cpu_multiplies_bfloat16, policy
from conveyor.components.trainer.settings import FitSettings
from conveyor.models.cnn.cnn import CNN

# name: (image, filters, batch)
NETWORKS = {
    "8x8x1, filters 32 64, batch 64": ((8, 8, 1), [32, 64], 64),
    "28x28x1, filters 32 64, batch 128": ((28, 28, 1), [32, 64], 128),
    "32x32x3, filters 64 128 256, batch 128": ((32, 32, 3), [64, 128, 256], 128),
    "64x64x3, filters 64 128 256 512, batch 32": ((64, 64, 3), [64, 128, 256, 512], 32),
}


def make(
    shape: tuple[int, int, int], filters: list[int], batch: int, precision: str
) -> tf.types.experimental.PolymorphicFunction:
    """Returns a function that trains one step on the same batch."""
    keras.config.set_dtype_policy(policy(precision, tf.distribute.get_strategy()))
    model = CNN(shape, 10, filters=filters)
    model.compile(
        make_optimizer(FitSettings(), 1, model), keras.losses.CategoricalCrossentropy(from_logits=True)
    )
    images = tf.random.stateless_normal((batch, *shape), [0, 1])
    labels = tf.one_hot(tf.range(batch) % 10, 10)
    return tf.function(lambda: model.train_step((images, labels))["loss"])


def main(pairs: int) -> None:
    """Prints a line for each network."""
    chosen = policy("auto", tf.distribute.get_strategy())
    told = "yes" if cpu_multiplies_bfloat16() else "no"
    print(f"bfloat16 in the CPU: {told}; `precision: auto` takes {chosen}")
    for name, network in NETWORKS.items():
        steps = {precision: make(*network, precision) for precision in ("float32", "bfloat16")}
        for step in steps.values():
            step()
        pairs_of = [{precision: rate(step) for precision, step in steps.items()} for _ in range(pairs)]
        ratios = [pair["bfloat16"] / pair["float32"] for pair in pairs_of]
        base = network[2] * statistics.median(pair["float32"] for pair in pairs_of)
        print(
            f"{name}: float32 {base:.0f} images/s; bfloat16 / float32 {statistics.median(ratios):.2f}"
            f" ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
