import json
import os
import pathlib
import signal
import subprocess
import sys
import uuid

import pytest

TOYS = pathlib.Path(__file__).with_name("toys")
sys.path.insert(0, str(TOYS))  # stages are found by "module:name", so theirs must be importable

from conveyor.pipeline.runners.local import LocalRunner  # noqa: E402
from conveyor.pipeline.workspace import Workspace  # noqa: E402


@pytest.fixture(autouse=True)
def no_endless_test():
    """Fails a test that waits for a process forever."""

    def stop(*_):
        raise TimeoutError("the test takes too long")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Control:
    """The test's side of a control folder (see toy_stages)."""

    def __init__(self, path):
        self.path = path
        path.mkdir()

    def __fspath__(self):
        return str(self.path)

    def do(self, stage, code):
        """Lets a stage run `code` when it is executed."""
        (self.path / f"{stage}.py").write_text(code, encoding="utf-8")

    def undo(self, stage):
        (self.path / f"{stage}.py").unlink()

    @property
    def log(self):
        """The stages that were executed, in order."""
        file = self.path / "log"
        return file.read_text(encoding="utf-8").split() if file.exists() else []


@pytest.fixture
def control(tmp_path):
    return Control(tmp_path / "control")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "space")


@pytest.fixture
def run(workspace):
    """Runs a pipeline in the workspace, in this process."""

    def run(pipeline, **options):
        return LocalRunner(workspace).run(pipeline, "toy", **options)

    return run


@pytest.fixture
def published(workspace):
    """Returns a function that lists the published artifacts by type."""

    def published():
        return sorted(path.parent.name for path in (workspace.root / "artifacts").glob("*/*"))

    return published


class Started:
    """A Python process with all its descendants."""

    def __init__(self, words, **options):
        self._mark = f"TOY_MARK={uuid.uuid4()}"
        name, _, value = self._mark.partition("=")
        path = os.pathsep.join([str(TOYS), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": path, name: value}
        self.process = subprocess.Popen(
            [sys.executable, *map(str, words)], env=env, text=True, stdout=subprocess.PIPE, **options
        )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def lines(self):
        """Waits for the end; returns the JSON documents on stdout."""
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return [json.loads(line) for line in out.splitlines()]

    def alive(self):
        """Returns the process ids of it and of all its descendants, reparented ones too."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:  # it ended while we looked
                continue
        return found

    def end(self):
        for process in self.alive():
            os.kill(process, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def start():
    """Starts Python with the given arguments; ends it and its descendants with the test."""
    started = []

    def start(*words, **options):
        started.append(Started(words, **options))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.fixture
def start_run(start, tmp_path, control):
    """Starts runs of the toy pipeline in a process of its own; each dict holds values by stage."""

    def start_run(*runs):
        words = [json.dumps(values) for values in runs or ({},)]
        return start(TOYS / "toy_run.py", tmp_path / "space", control.path, *words)

    return start_run
