"""Runs a command and measures wall time and the memory of its whole process tree."""

import dataclasses
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import threading
import time
import typing

MNIST = pathlib.Path(__file__).parents[2] / "shared" / "data" / "mnist.tar.gz"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run of a command took.

    Args:
        seconds: Wall time.
        output: What it printed to stdout.
        peak_mb: Largest sum over all processes of the tree of their proportional set size, in MB;
            0 if it was not asked for.
    """

    seconds: float
    output: str
    peak_mb: float = 0.0


def measure(command: list[str], sample_every: float = 0.0) -> Measured:
    """Runs a command.

    Args:
        command: The command.
        sample_every: Seconds between two looks at its memory, which slow it down; 0 for none.

    Raises:
        SystemExit: The command failed.
    """
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = [0.0]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(sample_every):
            peak[0] = max(peak[0], sum(_pss(pid) for pid in _tree(process.pid)))

    sampler = threading.Thread(target=sample)
    if sample_every:
        sampler.start()
    output, errors = process.communicate()
    seconds = time.monotonic() - began
    done.set()
    if sample_every:
        sampler.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors}")
    return Measured(seconds, output, peak[0])


def _tree(root: int) -> list[int]:
    """Returns a process and its descendants."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = pathlib.Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def _pss(pid: int) -> float:
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    lines = (line.split() for line in text.splitlines() if line.startswith("Pss:"))
    return sum(int(fields[1]) for fields in lines) / 1024


def print_pairs(title: str, ours: list[Measured], peers: list[Measured]) -> None:
    """Prints the median seconds of both and the ratio pair by pair."""
    print(title)
    for name, runs in (("conveyor", ours), ("peer", peers)):
        seconds = sorted(run.seconds for run in runs)
        print(f"  {name:10}{statistics.median(seconds):6.2f} s   ({seconds[0]:.2f} to {seconds[-1]:.2f})")
    ratios = sorted(a.seconds / b.seconds for a, b in zip(ours, peers, strict=True))
    low, high, middle = ratios[0], ratios[-1], statistics.median(ratios)
    print(f"  ratio     {middle:6.2f}     ({low:.2f} to {high:.2f}, {len(ratios)} pairs)")


def rate(step: typing.Callable[[], typing.Any], seconds: float = 2.0) -> float:
    """Returns how often a second a step of training is done.

    Args:
        step: Does it; returns a tensor.
        seconds: For which it is repeated.
    """
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or count < 2:
        step().numpy()
        count += 1
    return count / (time.perf_counter() - began)


def unpack_mnist(target: pathlib.Path, train: int | None = None, test: int | None = None) -> bool:
    """Unpacks MNIST, or the first images of each class of it; False where the archive is absent.

    Args:
        target: Folder to make `train/<digit>` and `test/<digit>` in.
        train: Number of training images in all, as many of each class; None for all that there are.
        test: Number of test images, likewise.
    """
    if not MNIST.exists():
        print(f"skipped: {MNIST.name} is not in {MNIST.parent.name}/")
        return False
    counts = {"train": train, "test": test}
    room = {
        (split, str(digit)): math.inf if count is None else count // 10
        for split, count in counts.items()
        for digit in range(10)
    }
    with tarfile.open(MNIST) as archive:
        for member in archive:
            parts = pathlib.PurePosixPath(member.name).parts[-3:]
            if member.isfile() and len(parts) == 3 and room.get(parts[:2], 0) > 0:
                room[parts[:2]] -= 1
                path = target.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
    return True
