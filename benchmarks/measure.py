"""Runs a command and measures wall time and the memory of its whole process tree."""

import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import tarfile
import threading
import time

MNIST = pathlib.Path(__file__).parents[2] / "shared" / "data" / "mnist.tar.gz"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run of a command took.

    Args:
        seconds: Wall time.
        peak_mb: Largest sum over all processes of the tree of their proportional set size, in MB.
        output: What it printed to stdout.
    """

    seconds: float
    peak_mb: float
    output: str


def measure(command: list[str], every: float = 0.1) -> Measured:
    """Runs a command; samples memory `every` so many seconds.

    Raises:
        SystemExit: The command failed.
    """
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = [0.0]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(every):
            peak[0] = max(peak[0], sum(_pss(pid) for pid in _tree(process.pid)))

    sampler = threading.Thread(target=sample)
    sampler.start()
    output, errors = process.communicate()
    seconds = time.monotonic() - began
    done.set()
    sampler.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{errors}")
    return Measured(seconds, peak[0], output)


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


def table(title: str, ours: list[Measured], peers: list[Measured]) -> None:
    """Prints medians of both and the median of the ratios pair by pair."""
    print(title)
    print(f"{'':10}{'seconds':>10}{'peak MB':>10}")
    for name, runs in (("conveyor", ours), ("peer", peers)):
        seconds = statistics.median(run.seconds for run in runs)
        peak = statistics.median(run.peak_mb for run in runs)
        print(f"{name:10}{seconds:10.2f}{peak:10.0f}")
    pairs = list(zip(ours, peers, strict=True))
    seconds = statistics.median(a.seconds / b.seconds for a, b in pairs)
    peak = statistics.median(a.peak_mb / b.peak_mb for a, b in pairs)
    print(f"{'ratio':10}{seconds:10.2f}{peak:10.2f}   (median of {len(pairs)} pairs)")


def unpack_mnist(target: pathlib.Path, train: int, test: int) -> bool:
    """Unpacks the first images of each class of MNIST; False where the archive is absent.

    Args:
        target: Folder to make `train/<digit>` and `test/<digit>` in.
        train: Number of training images in all.
        test: Number of test images in all.
    """
    if not MNIST.exists():
        print(f"skipped: {MNIST.name} is not in {MNIST.parent.name}/")
        return False
    room = {(s, str(d)): count // 10 for s, count in (("train", train), ("test", test)) for d in range(10)}
    with tarfile.open(MNIST) as archive:
        for member in archive:
            parts = pathlib.PurePosixPath(member.name).parts[-3:]
            if member.isfile() and len(parts) == 3 and room.get(parts[:2], 0) > 0:
                room[parts[:2]] -= 1
                path = target.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
    return True
