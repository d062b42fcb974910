"""The model server against KServe's own, and against the SavedModel without a server.

    python benchmarks/bench_serving.py [--seconds 10]

A small CNN on 28x28 PNGs; the client runs on the same machine. All in one run, as machines differ.
"""

import argparse
import asyncio
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import typing
import urllib.request

import load
from served import body_of, conveyor_serve, export_model, make_images, port_of, running

_PATH = "/v1/models/m:predict"
_RAW = """
import json, sys, time
import numpy as np, tensorflow as tf
sys.path.insert(0, sys.argv[2])
from served import make_images
loaded = tf.saved_model.load(sys.argv[1])
served = loaded.signatures["serving_default"]
images = make_images(32)
def rate(size, seconds):
    batch = np.array(images[:size], object)
    for _ in range(20):
        served(images=tf.constant(batch))
    times, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        {name: tensor.numpy() for name, tensor in served(images=tf.constant(batch)).items()}
        times.append(time.perf_counter() - start)
    return times
batches, singles = rate(32, float(sys.argv[3])), rate(1, float(sys.argv[3]) / 2)
print(json.dumps({"rate": 32 * len(batches) / sum(batches), "p50": sorted(singles)[len(singles) // 2]}))
"""


def main() -> None:
    """Prints a line a claim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        model = export_model(pathlib.Path(name))
        raw = json.loads(
            _output(
                [sys.executable, "-c", _RAW, str(model), str(pathlib.Path(__file__).parent), str(seconds)]
            )
        )
        print(
            f"SavedModel without a server: {raw['rate']:,.0f} images/s in batches of 32,"
            f" p50 of one {1e3 * raw['p50']:.2f} ms"
        )
        peer = _peer(model, seconds)
        with running(conveyor_serve(f"m={model}")) as server:
            _measure(port_of(server), seconds, raw, peer)


def _peer(model: pathlib.Path, seconds: float) -> float:
    """Returns the images/s of KServe's own server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = str(pathlib.Path(__file__).with_name("kserve_peer.py"))
    with running([sys.executable, script, str(model), str(port)]):
        _wait(port)
        found = _run(load.saturate(port, _requests(1), 32, seconds))
    print(f"KServe's own server, 32 connections: {found.rate:,.0f} images/s {dict(found.statuses)}")
    return found.rate


def _measure(port: int, seconds: float, raw: dict[str, float], peer: float) -> None:
    _run(load.saturate(port, _requests(1), 32, 2))  # warm
    single = _run(load.saturate(port, _requests(1), 32, seconds))
    _tell("single images, 32 connections", single.rate, f"{single.rate / peer:.2f}x KServe's own", "3x")
    print(f"  {single.rate / raw['rate']:.2f} of the SavedModel's rate in batches of 32; goal: 0.5")
    half = _run(load.pace(port, _requests(1), 64, seconds, single.rate / 2))
    print(
        f"p99 at half of that load: {1e3 * half.quantile(0.99):.1f} ms,"
        f" p50 {1e3 * half.quantile(0.5):.1f} ms; must: <= 50 ms"
    )
    batches = _run(load.saturate(port, _requests(32), 8, seconds))
    _tell(
        "batches of 32, 8 connections",
        32 * batches.rate,
        f"{32 * batches.rate / raw['rate']:.2f}x the SavedModel",
        "0.8x",
    )
    lone = _run(load.saturate(port, _requests(1), 1, seconds))
    over = 1e3 * (lone.quantile(0.5) - raw["p50"])
    print(
        f"one connection: p50 {1e3 * lone.quantile(0.5):.2f} ms,"
        f" {over:.2f} ms over the raw call; must: <= 2 ms"
    )


def _tell(what: str, rate: float, ratio: str, must: str) -> None:
    print(f"{what}: {rate:,.0f} images/s, {ratio}; must: >= {must}")


def _requests(size: int) -> list[bytes]:
    images = make_images(64)
    return [
        load.request("127.0.0.1", _PATH, body_of([images[(at + one) % 64] for one in range(size)]))
        for at in range(64)
    ]


def _run(work: typing.Coroutine[typing.Any, typing.Any, load.Outcome]) -> load.Outcome:
    found = asyncio.run(work)
    if set(found.statuses) != {b"200"}:
        sys.exit(f"not all was answered: {dict(found.statuses)}")
    return found


def _wait(port: int) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models/m", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit("the peer does not answer")


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
