"""What Muon makes of a kernel's gradient, against Keras's own Muon on the same matrix: in turns.

    python benchmarks/bench_muon.py [PAIRS]

Prints the median ratio of speeds, in float32, for kernels of convolutions.
"""

import statistics
import sys

import keras
import numpy as np
import tensorflow as tf
from measure import rate

from conveyor.components.trainer.optimizers import Muon

KERNELS = [(3, 3, 32, 32), (3, 3, 64, 128), (5, 5, 96, 192), (1, 1, 192, 192), (3, 3, 256, 256)]
STEPS = 5  # Keras's default
SECONDS = 0.5  # for which each is repeated


def main(pairs: int) -> None:
    """Prints a line for each kernel."""
    own = Muon(rates=[1.0], decays=[0.0], frozen_steps=[0], matrices=[True])
    peer = keras.optimizers.Muon()
    for shape in KERNELS:
        gradient = tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)
        matrix = tf.reshape(gradient, [-1, shape[-1]])
        ours = tf.function(lambda given=gradient: own.zeropower_via_newtonschulz5(given, STEPS))
        theirs = tf.function(lambda given=matrix: peer.zeropower_via_newtonschulz5(given, STEPS))
        np.testing.assert_allclose(tf.reshape(ours(), matrix.shape), theirs(), atol=1e-3)
        ratios = [rate(ours, SECONDS) / rate(theirs, SECONDS) for _ in range(pairs)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{shape}: {statistics.median(ratios):.2f} times as fast ({spread})", flush=True)


if __name__ == "__main__":
    main(int((*sys.argv[1:], "5")[0]))
