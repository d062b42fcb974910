"""Search for duplicates among 60,000 images: seconds, planted copies found, false alarms.

    python benchmarks/bench_leaks.py [IMAGES] [PLANTED]

MNIST, and on it PLANTED copies of each kind; the figures for fingerprints alone, then for the search.
Copies are counted on top of IMAGES. A false alarm is an original that is paired with another original.
"""

import io
import resource
import sys
import tarfile
import time

import numpy as np
import PIL.Image
import pyarrow as pa
from measure import MNIST

from conveyor.components.leaks.duplicates import find_duplicates
from conveyor.components.leaks.fingerprint import fingerprint


def main(count: int, planted: int) -> None:
    """Prints the figures."""
    if not MNIST.exists():
        print(f"skipped: no {MNIST.name}")
        return
    images = _images(count)
    _time_fingerprints()
    keys, prints = [], []
    for number, image in enumerate(images):
        keys.append(f"{number:05d}")
        prints.append(fingerprint(image))
    for place, (kind, change) in enumerate(KINDS.items()):
        for number in range(place * planted, (place + 1) * planted):
            keys.append(f"{number % count:05d} {kind}")
            prints.append(fingerprint(change(images[number % count])))
    columns = {"key": keys, "split": [""] * len(keys), "label": [0] * len(keys), "content_hash": keys}
    table = pa.table(columns | {"fingerprint": prints})
    began = time.monotonic()
    found = find_duplicates(table)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(keys):,} images: {seconds:.1f} s (must: 60); peak of the process {peak:.0f} MB")
    _report(found.pairs, count, planted)


def _images(count: int) -> list[np.ndarray]:
    with tarfile.open(MNIST) as archive:
        found = []
        for member in archive:
            if member.isfile() and member.name.startswith("train/") and len(found) < count:
                found.append(np.asarray(PIL.Image.open(io.BytesIO(archive.extractfile(member).read()))))
    return found


def _time_fingerprints() -> None:
    for shape in ((32, 32), (480, 640)):
        image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        began = time.perf_counter()
        for _ in range(500):
            fingerprint(image)
        print(
            f"fingerprint of {shape[1]}x{shape[0]}: {(time.perf_counter() - began) * 2000:.0f} microseconds"
        )


def _report(pairs: list, count: int, planted: int) -> None:
    found = {kind: set() for kind in KINDS}
    false = set()
    for pair in pairs:
        names = [key.split(" ") for key in (pair.key_a, pair.key_b)]
        if names[0][0] == names[1][0]:
            for number, *kinds in names:
                for kind in kinds:
                    found[kind].add(number)
        elif len(names[0]) == len(names[1]) == 1:
            false.update((pair.key_a, pair.key_b))
    for kind, numbers in found.items():
        print(f"  {kind:12}{len(numbers):6} of {planted} found")
    print(f"  false alarms: {len(false)} images, {len(false) * 10_000 / count:.2f} per 10,000 (must: 1)")


def _encoded(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, "JPEG", quality=75)
    return np.asarray(PIL.Image.open(file))


def _resized(image: np.ndarray, factor: float) -> np.ndarray:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR))


def _shifted(image: np.ndarray, down: int, right: int, mode: str) -> np.ndarray:
    padded = np.pad(image, 2, mode=mode)
    return np.ascontiguousarray(padded[2 - down :, 2 - right :][: image.shape[0], : image.shape[1]])


KINDS = {
    "jpeg": _encoded,
    "up": lambda image: _resized(image, 1.1),
    "down": lambda image: _resized(image, 0.9),
    "right": lambda image: _shifted(image, 0, 2, "edge"),
    "down_black": lambda image: _shifted(image, 2, 0, "constant"),
    "diagonal": lambda image: _shifted(image, 2, -2, "edge"),
    "brighter": lambda image: np.clip(np.rint(image * 1.1), 0, 255).astype(np.uint8),
}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
