"""Search for duplicates: seconds, planted copies found, false alarms, memory; against imagehash's pHash.

    python benchmarks/bench_leaks.py [IMAGES] [PLANTED]

Copies are planted on top of the images, PLANTED of each kind, of images chosen at random whose contrast is
at least `_FAINT`. A false alarm is an original that is paired with another one of other pixels; some are
printed, to be looked at. The peer puts images of equal pHash together (a dictionary), as is usual.

The limits of the search were chosen on MNIST's test images, on crops of the 1st, 3rd, 5th … photo of BCCD,
on crops of every second image of nuclei and on generated textures. What is measured here is others:
MNIST's training images, the other photos of BCCD, the other nuclei, Omniglot, scikit-learn's photos. Two of
these did lead to changes, so they are not quite unseen: one photo of BCCD, missed when brightened and when
moved (the rule for clipped highlights; `RICH` from 12 to 10), and the skies in scikit-learn's photos (a
ramp does not count as contrast).
"""

import io
import pathlib
import sys
import tarfile
import time
import zipfile

import numpy as np
import PIL.Image
import pyarrow as pa
import sklearn.datasets
from measure import MNIST

from conveyor.components.example_images import grey
from conveyor.components.leaks.duplicates import find_duplicates
from conveyor.components.leaks.fingerprint import fingerprint

DATA = MNIST.parent
_LIMIT = 128  # pixels a side that the search is given
_FAINT = 2.0  # grey levels of contrast, below which no copies are planted: JPEG leaves nothing of some


def main(count: int, planted: int) -> None:
    """Prints the figures."""
    if not MNIST.exists():
        print(f"skipped: no {MNIST.name}")
        return
    photos = [_open(path) for path in sorted((DATA / "BCCD" / "JPEGImages").glob("*.jpg"))[1::2]]
    nuclei = [_open(path) for path in sorted((DATA / "nuclei" / "images").glob("*.jpg"))[1::2]]
    samples = [
        np.asarray(PIL.Image.fromarray(i).convert("L")) for i in sklearn.datasets.load_sample_images().images
    ]
    few = planted // 10
    _run("MNIST, training images", _mnist(count), planted)
    _run("BCCD, photos", photos, few)
    for side in (96, 64, 32):
        _run(f"BCCD, crops of {side}", _crops(photos, side), few)
    _run("nuclei, crops of 64", _crops(nuclei, 64), few)
    _run("photos of scikit-learn, crops of 48", _crops(samples, 48), few)
    _run("Omniglot", _omniglot(), few)


def _run(title: str, images: list[np.ndarray], planted: int) -> None:
    encoded, names = _plant(images, planted)
    prints = [fingerprint(grey(data, 1 << 16)) for data in encoded.values()]
    columns = {name: [""] * len(encoded) for name in ("split", "label", "group")}
    table = pa.table({"key": list(encoded), "content_hash": list(encoded), "fingerprint": prints} | columns)
    del prints
    asked = [0]

    def pixels(keys: list[str]) -> dict[str, np.ndarray]:
        asked[0] += len(keys)
        return {key: grey(encoded[key], _LIMIT) for key in keys}

    before, began, worked = _reset_peak(), time.monotonic(), time.process_time()
    found = find_duplicates(table, pixels)
    seconds, worked = time.monotonic() - began, time.process_time() - worked
    print(f"{title}: {len(encoded):,} images, {seconds:.1f} s ({worked:.1f} s of one core)")
    memory = f"{_peak_mb() - before:.0f} MB on top of the table's {table.nbytes >> 20} MB"
    print(f"  {asked[0]:,} images decoded; memory: {memory}")
    _report([(pair.key_a, pair.key_b) for pair in found.pairs], encoded, names)
    _run_peer(encoded, names)


def _run_peer(encoded: dict[str, bytes], names: dict[str, int]) -> None:
    try:
        import imagehash
    except ImportError:
        print("  peer skipped: imagehash is not installed")
        return
    began = time.monotonic()
    first: dict[str, str] = {}
    pairs = []
    for key, data in encoded.items():
        known = first.setdefault(str(imagehash.phash(PIL.Image.open(io.BytesIO(data)))), key)
        pairs += [(known, key)] * (known != key)
    print(f"  imagehash.phash and a dictionary: {time.monotonic() - began:.1f} s, hashing included")
    _report(pairs, encoded, names)


def _plant(images: list[np.ndarray], planted: int) -> tuple[dict[str, bytes], dict[str, int]]:
    """Returns key -> PNG of images and copies, and kind -> number of copies."""
    encoded = {f"{number:06d}": _png(image) for number, image in enumerate(images)}
    order = np.random.default_rng(1).permutation(len(images)).tolist()
    order = [number for number in order if images[number].std() >= _FAINT]
    names = {}
    for place, (kind, change) in enumerate(KINDS.items()):
        # as many kinds as there are images each have their own, else they share
        chosen = [
            order[(place * planted + number) % len(order)] for number in range(min(planted, len(order)))
        ]
        encoded |= {f"{number:06d} {kind}": _png(change(images[number])) for number in chosen}
        names[kind] = len(chosen)
    return encoded, names


def _report(pairs: list[tuple[str, str]], encoded: dict[str, bytes], names: dict[str, int]) -> None:
    found: dict[str, set[str]] = {kind: set() for kind in names}
    false: set[str] = set()
    shown = []
    for pair in pairs:
        (one, *kind_one), (other, *kind_other) = (key.split(" ") for key in pair)
        if one == other:
            for kind in kind_one + kind_other:
                found[kind].add(one)
        elif not kind_one and not kind_other and encoded[one] != encoded[other]:
            false |= {one, other}
            shown.append(f"{one}-{other}")
    print("  found: " + ", ".join(f"{kind} {len(found[kind])}/{names[kind]}" for kind in names))
    count = len(encoded) - sum(names.values())
    rate = len(false) * 10_000 / count
    print(f"  false alarms: {len(false)} of {count:,} images, {rate:.1f} per 10,000 {' '.join(shown[:5])}")


def _mnist(count: int) -> list[np.ndarray]:
    with tarfile.open(MNIST) as archive:
        found = []
        for member in archive:
            if member.isfile() and member.name.startswith("train/") and len(found) < count:
                found.append(np.asarray(PIL.Image.open(io.BytesIO(archive.extractfile(member).read()))))
    return found


def _omniglot() -> list[np.ndarray]:
    with zipfile.ZipFile(DATA / "omniglot_small1.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        return [np.asarray(PIL.Image.open(io.BytesIO(archive.read(name))).convert("L")) for name in names]


def _crops(photos: list[np.ndarray], side: int) -> list[np.ndarray]:
    """Returns squares beside one another, off the grid of JPEG blocks."""
    return [
        photo[top : top + side, left : left + side]
        for photo in photos
        for top in range(3, photo.shape[0] - side + 1, side)
        for left in range(5, photo.shape[1] - side + 1, side)
    ]


def _open(path: pathlib.Path) -> np.ndarray:
    return np.asarray(PIL.Image.open(path).convert("L"))


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(image)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _reset_peak() -> float:
    """Makes the peak of memory start anew; returns it in MB."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _peak_mb()


def _peak_mb() -> float:
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _encoded(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(image)).save(file, "JPEG", quality=75)
    return np.asarray(PIL.Image.open(file))


def _resized(image: np.ndarray, factor: float) -> np.ndarray:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR))


def _shifted(image: np.ndarray, down: int, right: int, mode: str) -> np.ndarray:
    padded = np.pad(image, 2, mode=mode)
    return padded[2 - down :, 2 - right :][: image.shape[0], : image.shape[1]]


KINDS = {
    "same": lambda image: image,
    "jpeg": _encoded,
    "up": lambda image: _resized(image, 1.1),
    "down": lambda image: _resized(image, 0.9),
    "right": lambda image: _shifted(image, 0, 2, "edge"),
    "down_black": lambda image: _shifted(image, 2, 0, "constant"),
    "diagonal": lambda image: _shifted(image, 2, -2, "edge"),
    "diagonal_black": lambda image: _shifted(image, -2, -2, "constant"),
    "brighter": lambda image: np.clip(np.rint(image * 1.1), 0, 255).astype(np.uint8),
}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
