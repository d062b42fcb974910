"""Measures shipped configs: minutes, and their headline metric over seeds.

    python benchmarks/measure_configs.py NAME … [--seeds 3] [-o KEY=VALUE …]

Prints a line per config for its header and for docs/results.md: the mean over seeds with the 95%
Student t interval of that mean, and the minutes of the slowest run, ingestion to model card.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time

import scipy.stats
from measure import measure


def main() -> None:
    """Runs each config with each seed in a workspace of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("-o", dest="overrides", action="append", default=[])
    arguments = parser.parse_args()
    for name in arguments.names:
        measure_config(name, arguments.metric, arguments.seeds, arguments.overrides)


def measure_config(name: str, metric: str, seeds: int, overrides: list[str]) -> list[float]:
    """Runs a config with each seed and prints its line; returns the metric of each run."""
    values, minutes = [], []
    for seed in range(seeds):
        began = time.monotonic()
        summary = _run(name, [*overrides, f"seed={seed}"])
        minutes.append((time.monotonic() - began) / 60)
        values.append(summary["metrics"][metric]["value"])
        print(f"  {name}, seed {seed}: {metric} {values[-1]:.4f} in {minutes[-1]:.1f} minutes", flush=True)
    low, high = interval(values)
    shown = ", ".join(f"{value:.4f}" for value in values)
    print(
        f"{name}: {max(minutes):.1f} minutes; test {metric}"
        f" {statistics.mean(values):.4f} [{low:.4f}, {high:.4f}] over {len(values)} seeds ({shown})",
        flush=True,
    )
    return values


def _run(name: str, overrides: list[str]) -> dict:
    with tempfile.TemporaryDirectory() as workspace:
        command = [sys.executable, "-m", "conveyor", "run", name, "--json", "--workspace", workspace]
        options = [part for override in overrides for part in ("-o", override)]
        return json.loads(measure(command + options).output)


def interval(values: list[float]) -> tuple[float, float]:
    """Returns the 95% Student t interval of the mean, at most 1."""
    if len(values) < 2:
        return float("nan"), float("nan")
    error = statistics.stdev(values) / len(values) ** 0.5
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * error
    return statistics.mean(values) - half, min(statistics.mean(values) + half, 1.0)


if __name__ == "__main__":
    main()
