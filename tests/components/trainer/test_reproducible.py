import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from conveyor.components.artifacts import Model

SCRIPT = pathlib.Path(__file__).parent / "toys" / "train_once.py"


@pytest.mark.slow
def test_fresh_processes_train_the_same_model_byte_by_byte(run, tmp_path):
    def start(name, seed):
        words = [run.examples.path, run.graph.path, seed, tmp_path / name]
        return subprocess.Popen([sys.executable, SCRIPT, *map(str, words)], stdout=subprocess.PIPE)

    started = {name: start(name, seed) for name, seed in (("one", 0), ("same", 0), ("other", 1))}
    digests = {name: process.communicate()[0].decode().strip() for name, process in started.items()}
    assert all(process.returncode == 0 for process in started.values())
    assert len(digests["one"]) == 32
    assert digests["one"] == digests["same"]
    one, other = (
        keras.saving.load_model(Model.load(tmp_path / name / "Model-0").keras_file)
        for name in ("one", "other")
    )
    kernels = [(a, b) for a, b in zip(one.weights, other.weights, strict=True) if "kernel" in a.path]
    assert len(kernels) == 4
    assert all(np.any(a.numpy() != b.numpy()) for a, b in kernels)
