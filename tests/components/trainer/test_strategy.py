import json
import os
import pathlib
import socket
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from conveyor.components.trainer import strategy as strategies
from conveyor.components.trainer.strategy import open_strategy
from conveyor.pipeline.errors import UserError

TOYS = pathlib.Path(__file__).parent / "toys"
WORKERS = ["one:1234", "two:1234"]
CLUSTER = {"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": 1}}


@pytest.fixture(autouse=True)
def _no_tpu(tmp_path, monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.setattr(strategies, "_DEVICES", tmp_path)


@pytest.fixture
def gpus(monkeypatch):
    """Sets the number of GPUs; strategies are replaced by their name and arguments."""

    def have(count):
        devices = [types.SimpleNamespace(name=f"GPU:{number}") for number in range(count)]
        for method in ("list_physical_devices", "list_logical_devices"):
            monkeypatch.setattr(tf.config, method, lambda kind: devices if kind == "GPU" else ["CPU:0"])
        for name in ("MirroredStrategy", "OneDeviceStrategy"):
            monkeypatch.setattr(tf.distribute, name, lambda arguments, name=name: (name, arguments))

    return have


DEFAULT = tf.distribute.get_strategy()
MIRRORED = ("MirroredStrategy", ["GPU:0", "GPU:1"])


@pytest.mark.parametrize(
    ("count", "name", "expected"),
    [
        (0, "auto", DEFAULT),
        (1, "auto", DEFAULT),
        (2, "auto", MIRRORED),
        (0, "cpu", DEFAULT),
        (1, "cpu", ("OneDeviceStrategy", "/cpu:0")),
        (1, "gpu", DEFAULT),
        (2, "gpu", DEFAULT),
        (2, "mirrored", MIRRORED),
    ],
)
def test_strategy_fits_the_hardware(gpus, count, name, expected):
    gpus(count)
    assert open_strategy(name) == expected


@pytest.mark.parametrize(
    ("count", "name", "received"),
    [(0, "gpu", "none"), (0, "mirrored", "0"), (1, "mirrored", "1"), (0, "tpu", "none")],
)
def test_missing_hardware_is_a_user_error(gpus, count, name, received):
    gpus(count)
    with pytest.raises(UserError, match="nothing to run on") as caught:
        open_strategy(name)
    assert caught.value.received == received
    assert "strategy" in caught.value.where


# === TPU ===


@pytest.fixture
def tpu(monkeypatch):
    """Replaces the connection to a TPU by its address."""
    resolver = types.SimpleNamespace(connect=lambda address: address)
    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", resolver)
    monkeypatch.setattr(tf.distribute, "TPUStrategy", lambda resolved: ("TPUStrategy", resolved))
    return resolver


@pytest.mark.parametrize("name", ["auto", "tpu"])
def test_tpu_is_found_by_its_name_or_in_this_machine(gpus, tpu, tmp_path, monkeypatch, name):
    gpus(2)
    (tmp_path / "accel0").touch()
    assert open_strategy(name) == ("TPUStrategy", "local")
    monkeypatch.setenv("TPU_NAME", "grpc://10.0.0.2:8470")
    assert open_strategy(name) == ("TPUStrategy", "grpc://10.0.0.2:8470")


@pytest.mark.parametrize("installed", [True, False])
def test_devices_of_newer_tpus_are_taken_for_tpus_only_with_their_library(tmp_path, monkeypatch, installed):
    (tmp_path / "vfio").mkdir()
    (tmp_path / "vfio" / "0").touch()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: installed or None)
    assert strategies._tpu() == ("local" if installed else None)


@pytest.mark.parametrize(
    "error", [RuntimeError("no TPU\nat all"), ImportError("no TPU"), ValueError("no TPU")]
)
def test_tpu_that_does_not_answer_is_a_user_error(tpu, monkeypatch, error):
    def connect(address):
        raise error

    tpu.connect = connect
    monkeypatch.setenv("TPU_NAME", "my-tpu")
    with pytest.raises(UserError, match="'my-tpu' cannot be opened") as caught:
        open_strategy("tpu")
    assert caught.value.received == "no TPU"


# === several workers ===


@pytest.mark.parametrize(
    "config",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        '"worker"',
        json.dumps({"cluster": {"worker": WORKERS}}),
        json.dumps({**CLUSTER, "task": {"type": "worker", "index": 2}}),
        json.dumps({**CLUSTER, "task": {"type": "worker", "index": -1}}),
        json.dumps({**CLUSTER, "task": {"type": "worker", "index": "0"}}),
        json.dumps({**CLUSTER, "task": {"type": "chief", "index": 0}}),
        json.dumps({**CLUSTER, "cluster": {"worker": ["one"]}, "task": {"type": "worker", "index": 0}}),
        json.dumps({**CLUSTER, "cluster": []}),
    ],
)
def test_wrong_description_of_workers_is_a_user_error(monkeypatch, config):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError, match="TF_CONFIG") as caught:
        open_strategy("multi_worker")
    assert "host:port" in caught.value.expected


def test_right_description_of_workers_opens_the_strategy(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps(CLUSTER))
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "opened")
    assert open_strategy("multi_worker") == "opened"


def run_toy(name, *words, **environment):
    return subprocess.Popen(
        [sys.executable, str(TOYS / name), *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def answer_of(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return json.loads(output.splitlines()[-1])


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow
def test_two_workers_train_one_model():
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
    started = [run_toy("train_worker.py", TF_CONFIG=json.dumps(config)) for config in configs]
    one, two = map(answer_of, started)
    assert one == two
    replicas, _, history, _ = one
    assert replicas == 2
    assert history["loss"][1] < history["loss"][0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_mirrored_training_is_that_on_one_device(name):
    found = answer_of(run_toy("train_mirrored.py", name))
    assert found["replicas"] == [1, 2]
    np.testing.assert_allclose(*found["losses"], rtol=1e-4)
    assert found["weights"] < 1e-4
    assert "gradients cannot be accumulated on 2 devices" in found["told"]
