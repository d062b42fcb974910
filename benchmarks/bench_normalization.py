"""Batch normalisation by one operation against Keras's layer: training and predicting, in turns.

    python benchmarks/bench_normalization.py [PAIRS]

Prints the median ratio of speeds for networks of three families, in float32 and in bfloat16. The peer is the
same network with `keras.layers.BatchNormalization`.
"""

import itertools
import statistics
import sys
from unittest import mock

import keras
import tensorflow as tf
from measure import rate

from conveyor.models.cnn.cnn import CNN
from conveyor.models.layers.batch_normalization import BatchNormalization
from conveyor.models.resnet.resnet import ResNet
from conveyor.models.unet.unet import UNet

# name: (makes the network, batch, side)
NETWORKS = {
    "cnn, filters 32 64 128, 64x64, batch 32": (
        lambda: CNN((64, 64, 3), 10, filters=[32, 64, 128], normalization="batch"),
        32,
        64,
    ),
    "resnet, depth 20, 32x32, batch 64": (lambda: ResNet((32, 32, 3), 10, depth=20), 64, 32),
    "unet, stem of stride 2, 128x128, batch 16": (
        lambda: UNet((128, 128, 3), 2, filters=[32, 64, 128], stem_strides=2),
        16,
        128,
    ),
}


def make(network: tuple, dtype: str, learns: bool) -> tf.types.experimental.PolymorphicFunction:
    """Returns a function that trains one step on the same batch, or answers it."""
    keras.config.set_dtype_policy(dtype)
    build, batch, side = network
    model = build()
    images = tf.random.stateless_normal((batch, side, side, 3), [0, 1])
    if learns:
        model.compile(keras.optimizers.SGD(0.001), keras.losses.MeanSquaredError())
        targets = tf.zeros((batch, *model.output_shape[1:]))
        step = tf.function(lambda: model.train_step((images, targets))["loss"])
    else:
        step = tf.function(lambda: model(images, training=False))
    step()
    return step


def main(pairs: int) -> None:
    """Prints a line for each network, precision and use."""
    for name, network in NETWORKS.items():
        for dtype, learns in itertools.product(("float32", "mixed_bfloat16"), (True, False)):
            ours = make(network, dtype, learns)
            with mock.patch.object(BatchNormalization, "call", keras.layers.BatchNormalization.call):
                theirs = make(network, dtype, learns)
            found = [(rate(ours), rate(theirs)) for _ in range(pairs)]
            ratios = [own / peer for own, peer in found]
            base = network[1] * statistics.median(peer for _, peer in found)
            use = "training" if learns else "predicting"
            print(
                f"{name}, {dtype}, {use}: Keras's {base:.0f} images/s; ours"
                f" {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main(int((*sys.argv[1:], "5")[0]))
