"""Trains in this process: EXAMPLES GRAPH OUT [STEPS]; prints the artifact's digest.

With STEPS, kills the process when so many are done, or soon after. Called again, it goes on.
"""

import os
import pathlib
import signal
import sys

from small_run import train, training

from conveyor.components.artifacts import Examples, TransformGraph
from conveyor.components.trainer.execution import Execution
from conveyor.pipeline.stage import Context

# Every source of chance: initial weights, dropout, order, augmentation; parallel sums of convolutions.
MODEL = {"family": "cnn", "filters": [8, 8], "dense": 16, "normalization": "batch", "dropout": 0.3}
AUGMENT = [{"random_translation": {"height_factor": 0.1, "width_factor": 0.1}}]
HOW = {"ema": 0.9, "accumulate": 2, "checkpoint": {"every_steps": 2}}  # two steps a call


def kill_after(steps: int) -> None:
    call = Execution.__call__

    def run(self, iterator):
        if self.done >= steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(self, iterator)

    Execution.__call__ = run


if __name__ == "__main__":
    examples, graph, out, *steps = sys.argv[1:]
    if steps:
        kill_after(int(steps[0]))
    folder = pathlib.Path(out)
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    settings = training(MODEL, **HOW).model_copy(update={"augment": AUGMENT})
    context = Context(scratch=folder / "scratch")
    model = train(folder, Examples.load(examples), TransformGraph.load(graph), settings, context)
    print(model.digest)
