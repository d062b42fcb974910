"""Trains in this process: EXAMPLES GRAPH OUT [STEPS…]; prints the artifact's digest.

With STEPS the digest of a training that was never killed comes first. Then for each of them a process trains
that is killed when so many are done, or soon after; the next one goes on. They are forks of this one, as in a
run, so that TensorFlow is imported once.
"""

import os
import pathlib
import signal
import sys
import typing

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


def in_a_fork(work: typing.Callable[[], None]) -> int:
    """Returns the exit status of a fork that did some work."""
    child = os.fork()
    if not child:
        work()
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train_until_killed(steps: int, *training: typing.Any) -> None:
    kill_after(steps)
    train_in(*training)


if __name__ == "__main__":
    examples, graph, out, *stops = sys.argv[1:]
    folder, whole = pathlib.Path(out), pathlib.Path(out, "whole")
    for place in (folder, whole):
        (place / "scratch").mkdir(parents=True)
    if stops and in_a_fork(lambda: print(train_in(whole, examples, graph))):
        sys.exit("the training that is not killed failed")
    for steps in map(int, stops):
        status = in_a_fork(lambda steps=steps: train_until_killed(steps, folder, examples, graph))
        if status != -signal.SIGKILL:
            sys.exit(f"expected to be killed after {steps} steps. Received: exit status {status}")
    print(train_in(folder, examples, graph))
