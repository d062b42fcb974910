"""Trains in this process: EXAMPLES GRAPH SEED OUT; prints the artifact's digest."""

import pathlib
import sys

from small_run import train, training

from conveyor.components.artifacts import Examples, TransformGraph

# With every source of chance: initial weights, dropout, shuffling; and the parallel sums of convolutions.
MODEL = {"family": "cnn", "filters": [8, 8], "dense": 16, "batch_norm": True, "dropout": 0.3}

if __name__ == "__main__":
    examples, graph, seed, out = sys.argv[1:]
    settings = training(MODEL, seed=int(seed), epochs=2)
    model = train(pathlib.Path(out), Examples.load(examples), TransformGraph.load(graph), settings)
    print(model.digest)
