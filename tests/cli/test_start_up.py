"""Start-up stays fast: what needs no TensorFlow does not import it."""

import importlib.util
import pathlib
import subprocess
import sys
import time

import pytest

HEAVY = {
    "tensorflow",
    "keras",
    "numpy",
    "apache_beam",
    "tensorflow_datasets",
    "sklearn",
    "PIL",
    "pyarrow",
    "altair",
}
LIST_MODULES = """
import atexit, sys
atexit.register(lambda: print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr))
from conveyor.__main__ import main
main(["conveyor", *sys.argv[1:]])
"""
STAGES = pathlib.Path(importlib.util.find_spec("conveyor.components").origin).parent.glob("*/stage.py")
needs_stages = pytest.mark.skipif(len(list(STAGES)) < 10, reason="not all stages are there")


def loaded(*words):
    command = [sys.executable, "-c", LIST_MODULES, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_help_takes_no_time():
    command = [sys.executable, "-m", "conveyor", "--help"]
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    assert min(times) < 1, f"conveyor --help took {min(times):.2f} s"


def test_help_imports_nothing_heavy():
    assert not loaded("--help") & (HEAVY | {"pydantic", "yaml", "rich"})


@pytest.mark.parametrize("words", [["runs"], ["show", "latest"], ["runs", "--json"]])
def test_history_imports_nothing_heavy(history, words):
    assert not loaded(*words, "--workspace", history.root) & HEAVY


def test_lineage_imports_nothing_heavy(history):
    assert not loaded("lineage", history.newer.card.path) & HEAVY


@needs_stages
def test_the_default_workspace_is_that_of_the_library():
    from conveyor.cli.options import DEFAULT_WORKSPACE
    from conveyor.components import experiment

    assert DEFAULT_WORKSPACE == experiment.DEFAULT_WORKSPACE


@needs_stages
@pytest.mark.parametrize("words", [["configs"], ["schema"]])
def test_configs_and_schema_import_nothing_heavy(words):
    assert not loaded(*words) & HEAVY
