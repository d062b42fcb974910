"""What benchmarks of serving share: an exported small CNN, its images, and servers in other processes."""

import base64
import contextlib
import io
import json
import pathlib
import subprocess
import sys
import typing

import numpy as np
import PIL.Image

SIDE = 28
_CLASSES = 10
_EACH = 40  # images of a class


def make_images(count: int, seed: int = 0) -> list[bytes]:
    """Returns grey PNGs of 28x28 pixels: blobs, which pack as digits do."""
    chance = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    found = []
    for _ in range(count):
        pixels = np.zeros((SIDE, SIDE))
        for top, left in chance.uniform(6, 22, (4, 2)):
            pixels += np.exp(-((rows - top) ** 2 + (columns - left) ** 2) / 6)
        buffer = io.BytesIO()
        PIL.Image.fromarray((255 * np.clip(pixels, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


def export_model(folder: pathlib.Path, seed: int = 0) -> pathlib.Path:
    """Trains a small CNN for an epoch; returns its exported SavedModel."""
    images = iter(make_images(_CLASSES * _EACH))
    for kind in range(_CLASSES):
        for at in range(_EACH):
            path = folder / "images" / str(kind) / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(next(images))
    workspace = folder / f"workspace{seed}"
    command = [sys.executable, "-m", "conveyor", "run", "digits_cnn", "--until", "trainer", "--json"]
    options = ["--workspace", str(workspace), "-o", f"data.source=folder:{folder / 'images'}"]
    options += ["-o", "trainer.epochs=1", "-o", f"seed={seed}"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    (model,) = (workspace / "artifacts" / "Model").iterdir()
    return model / "saved_model"


def body_of(images: list[bytes]) -> bytes:
    """Returns the JSON of a request."""
    return json.dumps({"instances": [{"b64": base64.b64encode(image).decode()} for image in images]}).encode()


@contextlib.contextmanager
def running(command: list[str]) -> typing.Iterator[dict[str, typing.Any]]:
    """Runs a server that prints one JSON document when it answers; yields that, with its process as `pid`."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        lines: list[str] = []
        for line in typing.cast(typing.IO[str], process.stdout):
            lines.append(line)
            if line in ("}\n", "{}\n"):
                break
        yield {**json.loads("".join(lines)), "pid": process.pid}
    finally:
        process.terminate()
        process.wait(60)


def conveyor_serve(*words: str) -> list[str]:
    """Returns the command that serves on free ports."""
    return [sys.executable, "-m", "conveyor", "serve", *words, "--port", "0", "--grpc-port", "0", "--json"]


def port_of(server: dict[str, typing.Any]) -> int:
    """Returns the port of REST."""
    return int(server["rest"].rpartition(":")[2])
