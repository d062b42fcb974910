"""Measures shipped configs: minutes, and their headline metric over seeds.

    python benchmarks/measure_configs.py NAME … [--metric NAME …] [--seeds 3] [--keep DIR] [-o KEY=VALUE …]

Prints lines per config for its header and for docs/results.md: the mean over seeds with the 95%
Student t interval of that mean, and the minutes of the slowest run, ingestion to model card. With --keep
the outcome of each run is written to a folder, and a run whose outcome is there is not run again.
"""

import argparse
import hashlib
import json
import pathlib
import statistics
import sys
import tempfile
import time

import scipy.stats
from measure import measure

from conveyor.components.experiment import load_experiment


def main() -> None:
    """Runs each config with each seed in a workspace of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--metric", dest="metrics", action="append")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("-o", dest="overrides", action="append", default=[])
    arguments = parser.parse_args()
    for name in arguments.names:
        measure_config(
            name, arguments.metrics or ["accuracy"], arguments.seeds, arguments.overrides, arguments.keep
        )


def measure_config(
    name: str, metrics: list[str], seeds: int, overrides: list[str], keep: pathlib.Path | None = None
) -> list[float]:
    """Runs a config with each seed and prints its lines; returns the first metric of each run."""
    runs = []
    for seed in range(seeds):
        runs.append(_run(name, [*overrides, f"seed={seed}"], keep))
        shown = ", ".join(f"{metric} {runs[-1]['metrics'][metric]['value']:.4f}" for metric in metrics)
        print(f"  {name}, seed {seed}: {shown} in {runs[-1]['minutes']:.1f} minutes", flush=True)
    print(f"{name}: {max(run['minutes'] for run in runs):.1f} minutes", flush=True)
    found = {metric: [run["metrics"][metric]["value"] for run in runs] for metric in metrics}
    for metric, values in found.items():
        low, high = interval(values)
        shown = ", ".join(f"{value:.4f}" for value in values)
        mean = f"{statistics.mean(values):.4f} [{low:.4f}, {high:.4f}]"
        print(f"{name}: test {metric} {mean} over {len(values)} seeds ({shown})", flush=True)
    return found[metrics[0]]


def _run(name: str, overrides: list[str], keep: pathlib.Path | None) -> dict:
    """Returns the metrics of a run and its minutes, which are kept if told."""
    config = load_experiment(name, overrides).model_dump_json()
    kept = keep and keep / f"{name}-{hashlib.sha256(config.encode()).hexdigest()[:16]}.json"
    if kept and kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as workspace:
        command = [sys.executable, "-m", "conveyor", "run", name, "--json", "--workspace", workspace]
        options = [part for override in overrides for part in ("-o", override)]
        summary = json.loads(measure(command + options).output)
    run = {"metrics": summary["metrics"], "minutes": (time.monotonic() - began) / 60}
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(run), encoding="utf-8")
    return run


def interval(values: list[float]) -> tuple[float, float]:
    """Returns the 95% Student t interval of the mean, at most 1."""
    if len(values) < 2:
        return float("nan"), float("nan")
    error = statistics.stdev(values) / len(values) ** 0.5
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * error
    return statistics.mean(values) - half, min(statistics.mean(values) + half, 1.0)


if __name__ == "__main__":
    main()
