"""Training through the pipeline's input against a bare `model.fit` on arrays in memory.

    python benchmarks/bench_training.py [PAIRS] [EPOCHS]

The small CNN of mnist_cnn, 20,000 images of MNIST, batches of 128, Adam, float32. Ours reads records
from disk, and guards, counts, selects and saves as always; the peer has float32 arrays, and nothing else
to do. Each in a process of its own, by turns. Images a second are those of the epochs after the first,
in which graphs are traced; a CPU second is of all cores together, and does not depend on what else the
machine does. The whole of both calls is told too. `peer, 20 steps a call` is the peer
with Keras's `steps_per_execution=20`, as ours has.
"""

import json
import pathlib
import statistics
import sys
import tempfile
import time

from measure import measure, unpack_mnist

MODEL = {"family": "cnn", "filters": [32, 64], "dense": 128}
BATCH = 128
AUGMENT = {
    "no augmentation": [],
    "flip and translation": [
        {"random_flip": {"mode": "horizontal"}},
        {"random_translation": {"height_factor": 0.1, "width_factor": 0.1}},
    ],
}
PEERS = {"peer": 1, "peer, 20 steps a call": 20}


def main(pairs: int, epochs: int) -> None:
    """Runs ours and the peers by turns; prints images a second and ratios."""
    with tempfile.TemporaryDirectory() as root:
        data = pathlib.Path(root) / "data"
        if not unpack_mnist(data, 20_000, 200):
            return
        split = "data.splits={train: 0.99, validation: 0, test: 0.01}"
        command = [sys.executable, "-m", "conveyor", "run", "mnist_cnn", "--until", "transform"]
        measure([*command, "--workspace", root, "-o", f"data.source=folder:{data}", "-o", split])
        found: dict[str, list[dict]] = {name: [] for name in (*PEERS, *AUGMENT)}
        for _ in range(pairs):
            for name in found:
                words = [sys.executable, __file__, "--work", root, name, str(epochs)]
                found[name].append(json.loads(measure(words).output.splitlines()[-1]))
    for name, runs in found.items():
        rate = statistics.median(run["rate"] for run in runs)
        print(
            f"{name:24}{rate:7.0f} images/s; whole call {statistics.median(r['whole'] for r in runs):6.1f} s"
        )
    for name in AUGMENT:
        share = statistics.median(run["input_bound"] for run in found[name])
        print(f"{name}: {100 * share:.2f}% of the time waiting for input")
        for peer in PEERS:
            print(f"  against {peer}: {_ratio(found, name, peer, 'rate')}", end="")
            print(f"; images a CPU second {_ratio(found, name, peer, 'cpu_rate')}")


def _ratio(found: dict[str, list[dict]], name: str, peer: str, key: str) -> str:
    ratios = sorted(a[key] / b[key] for a, b in zip(found[name], found[peer], strict=True))
    return f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"


def work(root: str, name: str, epochs: int) -> None:
    """Trains once in this process and prints what it took."""
    import keras

    ends: list[tuple[float, float]] = []
    keras.callbacks.History.on_epoch_end = lambda *_, **__: ends.append(
        (time.monotonic(), time.process_time())
    )
    began = time.monotonic()
    count, share = _bare(root, PEERS[name], epochs) if name in PEERS else _ours(root, AUGMENT[name], epochs)
    whole = time.monotonic() - began
    wall, cpu = (count * (epochs - 1) / (last - first) for first, last in zip(ends[0], ends[-1], strict=True))
    print(json.dumps({"rate": wall, "cpu_rate": cpu, "whole": whole, "input_bound": share}))


def _artifacts(root: str) -> tuple:
    from conveyor.components.artifacts import Examples, TransformGraph

    folders = pathlib.Path(root) / "artifacts"
    return tuple(kind.load(next((folders / kind.__name__).iterdir())) for kind in (Examples, TransformGraph))


def _settings(epochs: int, augment: list) -> object:
    from conveyor.components.trainer.settings import TrainerSettings

    fit = {"epochs": epochs, "batch_size": BATCH, "optimizer": {"name": "adam"}, "precision": "float32"}
    return TrainerSettings(task={}, model=MODEL, augment=augment, fit=fit)


def _ours(root: str, augment: list, epochs: int) -> tuple[int, float]:
    from conveyor.components.trainer.fit import fit
    from conveyor.pipeline.stage import Context

    examples, graph = _artifacts(root)
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(scratch=pathlib.Path(scratch))
        fitted = fit(examples, graph, _settings(epochs, augment), context)
    return examples.properties["splits"]["train"], fitted.input_bound


def _bare(root: str, steps: int, epochs: int) -> tuple[int, float]:
    import keras
    import numpy as np

    from conveyor.components.trainer.fit import build
    from conveyor.components.trainer.inputs import evaluation_input
    from conveyor.models.tasks.task import make_task

    examples, graph = _artifacts(root)
    settings = _settings(epochs, [])
    task = make_task(settings.task, examples.properties["classes"])
    batches = list(evaluation_input(examples, graph, task, "train", BATCH).as_numpy_iterator())
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    graph_of_layers = build(graph.read(), settings, task)
    model = keras.Model(graph_of_layers.inputs, graph_of_layers.outputs)
    model.compile("adam", task.loss(), metrics=task.metrics(), steps_per_execution=steps)
    model.fit(images, labels, batch_size=BATCH, epochs=epochs, verbose=0)
    return len(images), 0.0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        numbers = [int(word) for word in sys.argv[1:]]
        main(*numbers, *[5, 4][len(numbers) :])
