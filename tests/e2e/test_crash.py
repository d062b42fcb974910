"""A run that is killed in any stage has published nothing half done and goes on from there."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

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
def test_kill_in_each_stage_then_rerun(conveyor):
    environment = {**os.environ, "CONVEYOR_TEST_MARK": str(conveyor.workspace)}
    done = []
    for stage in STAGES:
        delay = "0.01" if stage in ("pusher", "model_card") else "0.2"
        killed = subprocess.run(
            [sys.executable, "-c", KILLER, stage, delay, str(conveyor.workspace), *conveyor.SMALL_CNN],
            env=environment,
            stderr=subprocess.DEVNULL,
            timeout=120,
        )
        assert killed.returncode in (-signal.SIGKILL, 0)
        for artifact in conveyor.published():
            manifest = json.loads((artifact / "artifact.json").read_text())
            for name, file in manifest["files"].items():
                assert (artifact / name).stat().st_size == file["bytes"]
        done.append(len(conveyor.published()))
        _wait_for_children(str(conveyor.workspace))
    assert done == sorted(done)
    summary = conveyor.run("digits_cnn", *conveyor.SMALL_CNN)
    assert set(conveyor.executed(summary)) <= {"pusher", "model_card"}
    versions = [path.name for path in (conveyor.workspace / "serving" / "digits").iterdir()]
    assert versions == ["1"]
    assert not list((conveyor.workspace / "staging").iterdir())


def _wait_for_children(mark, seconds=10):
    """Waits until no process that the killed run started is left; fails if one stays."""
    for _ in range(seconds * 20):
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and _has_mark(pid, mark)]
        if not left:
            return
        signal.sigtimedwait([], 0.05)
    pytest.fail(f"processes outlived their run: {[*map(_command, left)]}")


def _command(pid):
    with contextlib.suppress(OSError):
        pid += " " + pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return pid


def _has_mark(pid, mark):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"CONVEYOR_TEST_MARK={mark}".encode() in file.read()
    except OSError:
        return False
