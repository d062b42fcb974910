"""A run that is killed in any stage has published nothing half done and goes on from there."""

import contextlib
import json
import os
import pathlib
import signal

import pytest
import warm_cli

# Runs digits_cnn and kills its own process a moment after the given stage has started.
KILLER = """
import os, signal, sys, threading, conveyor

def report(name, done):
    if done is None and name == sys.argv[1]:
        threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGKILL)).start()

conveyor.run("digits_cnn", sys.argv[4:], workspace=sys.argv[3], report=report)
"""
STAGES = ["example_gen", "transform", "trainer", "evaluator", "infra_validator", "pusher", "model_card"]


@pytest.mark.slow
def test_kill_in_each_stage_then_rerun(conveyor, monkeypatch):
    conveyor.workspace.mkdir()
    monkeypatch.chdir(conveyor.workspace)  # by which its processes are known
    done = []
    for stage in STAGES:
        delay = "0.01" if stage in ("pusher", "model_card") else "0.2"
        words = [stage, delay, str(conveyor.workspace), *conveyor.SMALL_CNN]
        killed = warm_cli.run(words, dict(os.environ), KILLER)
        assert killed.returncode in (-signal.SIGKILL, 0)
        for artifact in conveyor.published():
            manifest = json.loads((artifact / "artifact.json").read_text())
            for name, file in manifest["files"].items():
                assert (artifact / name).stat().st_size == file["bytes"]
        done.append(len(conveyor.published()))
        _wait_for_children(conveyor.workspace)
    assert done == sorted(done)
    summary = conveyor.run("digits_cnn", *conveyor.SMALL_CNN)
    assert set(conveyor.executed(summary)) <= {"pusher", "model_card"}
    versions = [path.name for path in (conveyor.workspace / "serving" / "digits").iterdir()]
    assert versions == ["1"]
    assert not list((conveyor.workspace / "staging").iterdir())


def _wait_for_children(directory, seconds=10):
    """Waits until no process that the killed run started is left; fails if one stays."""
    for _ in range(seconds * 20):
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and _is_in(pid, directory)]
        if not left:
            return
        signal.sigtimedwait([], 0.05)
    pytest.fail(f"processes outlived their run: {[*map(_command, left)]}")


def _command(pid):
    with contextlib.suppress(OSError):
        pid += " " + pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return pid


def _is_in(pid, directory):
    try:
        return int(pid) != os.getpid() and os.readlink(f"/proc/{pid}/cwd") == str(directory)
    except OSError:
        return False
