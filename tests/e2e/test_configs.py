"""Every shipped config runs, shrunk; every command in the docs is one that exists."""

import pathlib
import re
import shlex

import pytest
from small_images import class_files, write_files

from conveyor.components.experiment import Experiment, load_experiment, shipped_configs

ROOT = pathlib.Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_header_and_validity(name):
    head = shipped_configs()[name].read_text(encoding="utf-8").split("\ndata:")[0]
    assert head.startswith("# ")
    assert f"conveyor run {name}" in head
    assert "minute" in head
    assert re.search(r"0\.\d+ \[0\.\d+, [01]\.\d+\]", head), "the expected metric with its interval"
    assert isinstance(load_experiment(name), Experiment)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_runs_shrunk(conveyor, name):
    overrides = [*conveyor.SMALL, "data.source=digits", "trainer.epochs=1", "evaluator.bootstrap=20"]
    summary = conveyor.run(name, *overrides)
    assert summary["pushed"]
    assert summary["metrics"]["accuracy"]["value"] > 0.2


def _commands():
    for path in DOCS:
        for block in re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line.startswith("conveyor "):
                    yield pytest.param(line, id=f"{path.name}: {line[:60]}")


@pytest.mark.parametrize("line", _commands())
def test_documented_commands_are_understood(line, tmp_path, monkeypatch):
    from conveyor.cli.app import main, parse

    write_files(tmp_path / "DIR", class_files())
    monkeypatch.chdir(tmp_path)  # where an earlier command of the text has written a config of its own
    if " mine.yaml" in line and not line.startswith("conveyor new "):
        assert main(["new", "DIR", "--out", "mine.yaml"]) == 0

    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index(">")] if ">" in words else words
    arguments = parse(words)
    if config := getattr(arguments, "config", None):
        load_experiment(config, getattr(arguments, "overrides", []) or [])
