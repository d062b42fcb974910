"""The model server under full load, while a new version is published every minute.

    python benchmarks/soak_serving.py [--minutes 10] [--every 60]

Counts answers that are wrong (not those of a version that was served) and requests that were dropped; tells
the server's memory from the first version on. Two models take turns, so that a mix of their answers shows.
"""

import argparse
import asyncio
import json
import pathlib
import shutil
import sys
import tempfile
import typing

import load
import numpy as np
import tensorflow as tf
from served import body_of, conveyor_serve, export_model, make_images, port_of, running

_IMAGES = 64
_CLOSE = 1e-5  # a batch of another size may round otherwise
_FLAT = 0.05


def main() -> None:
    """Runs it, and ends with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        models = [export_model(folder, seed) for seed in (0, 1)]
        base = folder / "m"
        base.mkdir()
        _publish(models[0], base, 1)
        with running(conveyor_serve(str(base))) as server:
            soak = Soak(server, models, base)
            asyncio.run(soak.run(60 * arguments.minutes, arguments.every))
    sys.exit(soak.tell())


class Soak:
    """The load, the versions, and what was seen.

    Args:
        server: What `running` yields.
        models: Two SavedModels.
        base: The serving folder, with the first of them as version 1.
    """

    def __init__(self, server: dict[str, typing.Any], models: list[pathlib.Path], base: pathlib.Path):
        self._server, self._models, self._base = server, models, base
        self._images = make_images(_IMAGES)
        self._expected = [_answers(model, self._images) for model in models]
        self.seen = [0, 0]
        self.wrong = 0
        self.memory: list[float] = []
        self.outcome: load.Outcome | None = None

    async def run(self, seconds: float, every: float) -> None:
        """Saturates the server and publishes versions."""
        requests = [load.request("127.0.0.1", "/v1/models/m:predict", body_of([one])) for one in self._images]
        publishing = asyncio.create_task(self._publish_all(every))
        self.outcome = await load.saturate(port_of(self._server), requests, 32, seconds, self._check)
        publishing.cancel()

    async def _publish_all(self, every: float) -> None:
        number = 1
        while True:
            await asyncio.sleep(every)
            self.memory.append(_memory(self._server["pid"]))
            print(f"  version {number}: {self.memory[-1]:,.0f} MB, wrong {self.wrong}", flush=True)
            number += 1
            model = self._models[(number - 1) % 2]
            await asyncio.to_thread(_publish, model, self._base, number)

    def _check(self, at: int, answer: bytes) -> None:
        if answer[9:12] != b"200":
            return  # counted by its status
        found = json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"][0]["probabilities"]
        for which, expected in enumerate(self._expected):
            if np.abs(expected[at] - found).max() < _CLOSE:
                self.seen[which] += 1
                return
        self.wrong += 1

    def tell(self) -> int:
        """Prints what came of it; returns the exit code."""
        outcome = typing.cast(load.Outcome, self.outcome)
        dropped = sum(count for status, count in outcome.statuses.items() if status != b"200")
        growth = self.memory[-1] / self.memory[0] - 1 if self.memory else float("nan")
        print(
            f"{len(outcome.times):,} requests in {outcome.seconds / 60:.1f} minutes,"
            f" {outcome.rate:,.0f} a second, {len(self.memory)} new versions;"
            f" answers of either model: {self.seen[0]:,} and {self.seen[1]:,}"
        )
        print(f"wrong {self.wrong}, dropped {dropped}; must: 0, 0")
        print(f"memory {growth:+.1%} from the first minute to the last; must: within 5%")
        return int(bool(self.wrong or dropped) or not abs(growth) <= _FLAT)


def _publish(model: pathlib.Path, base: pathlib.Path, number: int) -> None:
    partial = base / f".partial-{number}"
    shutil.copytree(model, partial)
    partial.rename(base / str(number))


def _answers(model: pathlib.Path, images: list[bytes]) -> np.ndarray:
    loaded = tf.saved_model.load(str(model))
    return loaded.signatures["serving_default"](images=tf.constant(images))["probabilities"].numpy()


def _memory(pid: int) -> float:
    """Returns the resident memory of a process, in MB."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
