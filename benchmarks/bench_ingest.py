"""Ingestion against its peers: seconds, memory, and whether the bytes are the same.

    python benchmarks/bench_ingest.py [PAIRS]

1. 20,000 JPEGs of 32x32 in class folders, to Examples with decoding, hashes, fingerprints and facts, against
   a TFDS GeneratorBasedBuilder and a plain loop over tf.io.TFRecordWriter, which decode and write only.
2. Photos of 640x480 (those of BCCD, repeated), against nothing but decoding them with Pillow on all cores:
   in threads and in processes, whichever is faster.
3. Peak memory for 60,000 and for 10,000 images of MNIST.
4. Digests of two runs, with one worker and with two.

Seconds are those of the work in a process of its own, without its imports; pairs take turns.
"""

import json
import pathlib
import shutil
import statistics
import sys
import tempfile

import numpy as np
import PIL.Image
from measure import measure, unpack_mnist

HERE = pathlib.Path(__file__).parent
PHOTOS = HERE.parents[1] / "shared" / "data" / "BCCD" / "JPEGImages"
SMALL, PHOTO_COUNT = 20_000, 20_000


def main(pairs: int) -> None:
    """Prints all figures."""
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        _small(root, pairs)
        _photos(root, pairs)
        _memory(root)


def _small(root: pathlib.Path, pairs: int) -> None:
    folder = root / "small"
    make_small(folder, SMALL)
    print(f"{SMALL:,} JPEGs of 32x32 in class folders")
    rates: dict[str, list[float]] = {}
    for _ in range(pairs):
        for what in ("tfds", "loop", "conveyor"):
            rates.setdefault(what, []).append(SMALL / work(what, folder, root)["seconds"])
    _print_rates(rates, "conveyor")
    digests = {work("conveyor", folder, root, workers)["digest"] for workers in ("1", "1", "2")}
    print(f"  digests of runs with 1, 1 and 2 workers: {len(digests)} different (must: 1)")


def _photos(root: pathlib.Path, pairs: int) -> None:
    if not PHOTOS.is_dir():
        print("skipped: no photos of BCCD")
        return
    folder, files = root / "photos", sorted(PHOTOS.glob("*.jpg"))
    for number in range(PHOTO_COUNT):
        path = folder / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Different bytes after the end of the image, so that they are no copies of one another.
        path.write_bytes(files[number % len(files)].read_bytes() + str(number).encode())
    print(f"{PHOTO_COUNT:,} JPEGs of 640x480")
    rates: dict[str, list[float]] = {}
    for _ in range(pairs):
        for what in ("threads", "processes", "conveyor"):
            rates.setdefault(what, []).append(PHOTO_COUNT / work(what, folder, root)["seconds"])
    _print_rates(rates, "conveyor")


def _memory(root: pathlib.Path) -> None:
    peaks = []
    for count in (10_000, 60_000):
        folder = root / f"mnist{count}"
        if not unpack_mnist(folder, count, 0):
            return
        command = [
            sys.executable,
            str(HERE / "ingest_work.py"),
            "conveyor",
            str(folder),
            str(root / "out"),
            "1",
        ]
        peaks.append(measure(command, sample_every=0.05).peak_mb)
        shutil.rmtree(root / "out")
    print(f"peak memory: {peaks[0]:.0f} MB for 10,000 images, {peaks[1]:.0f} MB for 60,000;", end=" ")
    print(f"ratio {peaks[1] / peaks[0]:.2f} (must: 1.20)")


def work(what: str, folder: pathlib.Path, root: pathlib.Path, workers: str = "") -> dict[str, float]:
    """Runs one kind of work in a process of its own; returns what it prints."""
    out = root / "out"
    command = [sys.executable, str(HERE / "ingest_work.py"), what, str(folder), str(out), workers]
    found = json.loads(measure(command).output.splitlines()[-1])
    shutil.rmtree(out, ignore_errors=True)
    return found


def make_small(folder: pathlib.Path, count: int) -> None:
    """Writes JPEGs of smooth noise in ten class folders."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = PIL.Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
        path = folder / str(number % 10) / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize((32, 32), PIL.Image.Resampling.BICUBIC).save(path, quality=90)


def _print_rates(rates: dict[str, list[float]], ours: str) -> None:
    for what, values in rates.items():
        ratios = sorted(mine / other for mine, other in zip(rates[ours], values, strict=True))
        told = f"{ours} is {statistics.median(ratios):.2f} x this ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"  {what:10}{statistics.median(values):8,.0f} images/s   {'' if what == ours else told}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
