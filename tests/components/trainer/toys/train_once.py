"""Trains in this process: EXAMPLES GRAPH OUT [STEPS…]; prints the artifact's digest.

For each of STEPS, a process trains before, that is killed when so many are done, or soon after; the next one
goes on. They are forks of this one, as in a run, so that TensorFlow is imported once.
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


def train_in(folder: pathlib.Path, examples: str, graph: str) -> str:
    settings = training(MODEL, **HOW).model_copy(update={"augment": AUGMENT})
    context = Context(scratch=folder / "scratch")
    return train(folder, Examples.load(examples), TransformGraph.load(graph), settings, context).digest


if __name__ == "__main__":
    examples, graph, out, *stops = sys.argv[1:]
    folder = pathlib.Path(out)
    (folder / "scratch").mkdir(parents=True)
    for steps in map(int, stops):
        child = os.fork()
        if not child:
            kill_after(steps)
            train_in(folder, examples, graph)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            sys.exit(f"expected to be killed after {steps} steps. Received: exit status {status}")
    print(train_in(folder, examples, graph))
