"""Trains in this process: EXAMPLES GRAPH OUT; prints the artifact's digest."""

import pathlib
import sys

from small_run import train, training

from conveyor.components.artifacts import Examples, TransformGraph

# Every source of chance: initial weights, dropout, order, augmentation; parallel sums of convolutions.
MODEL = {"family": "cnn", "filters": [8, 8], "dense": 16, "batch_norm": True, "dropout": 0.3}
AUGMENT = [{"random_translation": {"height_factor": 0.1, "width_factor": 0.1}}]

if __name__ == "__main__":
    examples, graph, out = sys.argv[1:]
    settings = training(MODEL, epochs=2).model_copy(update={"augment": AUGMENT})
    model = train(pathlib.Path(out), Examples.load(examples), TransformGraph.load(graph), settings)
    print(model.digest)
