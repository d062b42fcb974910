"""The figures of shipped experiments on MNIST: test metric over seeds, and minutes.

    python benchmarks/bench_learning.py [--seeds 3] [--keep DIR] [NAME …]

Each experiment runs from class folders to the model card, with each seed in a workspace of its own; then
come its mean with a 95% Student t interval and the minutes of the slowest run. A spatial transformer and its
twin, a CNN of as many parameters, see the same samples; their errors are compared seed by seed.
"""

import argparse
import pathlib
import statistics
import tempfile

from measure import unpack_mnist
from measure_configs import interval, measure_config

# Name -> metric, and what it must reach in how many minutes (None: a twin, which is there to compare with).
EXPERIMENTS = {
    "mnist_cnn": ("accuracy", ">= 0.993 in 5 minutes"),
    "mnist_autoencoder": ("bce", "<= 0.0640 in 8 minutes"),
    "mnist_denoiser": ("bce", "<= 0.0839 in 8 minutes"),
    "mnist_stn_r": ("accuracy", ">= 0.988 in 20 minutes"),
    "mnist_cnn_r": ("accuracy", None),
    "mnist_stn_rts": ("accuracy", ">= 0.991 in 20 minutes"),
    "mnist_cnn_rts": ("accuracy", None),
}
TWINS = {"mnist_stn_r": "mnist_cnn_r", "mnist_stn_rts": "mnist_cnn_rts"}


def main() -> None:
    """Prints a line an experiment, and one a pair of twins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=pathlib.Path, help="where the outcomes of runs are written, and found")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = (arguments.keep or pathlib.Path(name)) / "mnist"
        if not unpack_mnist(folder):
            return
        found = {}
        for name in arguments.names:
            metric, must = EXPERIMENTS[name]
            source = [f"data.source=folder:{folder}"]
            found[name] = measure_config(name, [metric], arguments.seeds, source, arguments.keep)
            if must:
                print(f"  must: {must}")
        for one, twin in TWINS.items():
            if one in found and twin in found:
                _print_twins(one, found[one], found[twin])


def _print_twins(name: str, values: list[float], twins: list[float]) -> None:
    fewer = [1 - (1 - value) / (1 - twin) for value, twin in zip(values, twins, strict=True)]
    low, high = interval(fewer)
    shown = ", ".join(f"{value:.1%}" for value in fewer)
    print(
        f"{name}: {statistics.mean(fewer):.1%} fewer errors than its twin [{low:.1%}, {high:.1%}]"
        f" ({shown}); must: 25%"
    )


if __name__ == "__main__":
    main()
