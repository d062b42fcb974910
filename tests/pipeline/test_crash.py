"""Processes are killed while a stage is at work."""

import signal
import sqlite3

import pytest
from toy_stages import outcome, toy_pipeline, wait_until

from conveyor.pipeline.artifacts import changed_files, is_complete

STAGES = ("load", "fit", "report")  # fit runs in a child of the warm process, the others in the run's
TYPES = ("Data", "Fitted", "Page")
# A stage that has written half of its output, and scratch, and started a process of its own.
HANG = """
import subprocess
output.write("half")
(context.scratch / "checkpoint").write_text("epoch 1")
{child}
(control / "hangs").touch()
signal.pause()
"""
CHILD = "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"


@pytest.fixture
def hanging(start_run, control):
    """Starts a run, and waits until it hangs in a stage."""

    def hanging(stage, child=""):
        control.do(stage, HANG.format(child=child))
        started = start_run()
        wait_until((control.path / "hangs").exists)
        (control.path / "hangs").unlink()
        return started

    return hanging


def executions(workspace):
    db = sqlite3.connect(workspace.store.path)
    rows = db.execute("SELECT stage, status FROM executions ORDER BY id").fetchall()
    db.close()
    return rows


def staged(workspace):
    return sorted(path.name for path in (workspace.root / "staging").iterdir())


@pytest.mark.parametrize("stage", STAGES)
def test_killed_run(hanging, start_run, control, workspace, published, stage):
    number = STAGES.index(stage)
    killed = hanging(stage)
    # the run; its warm process, which goes when no later stage wants it; and that one's child
    assert len(killed.alive()) == {"load": 2, "fit": 3, "report": 1}[stage]
    killed.kill()
    wait_until(lambda: not killed.alive())  # nothing goes on without it

    # nothing half done is published; what was done before is
    assert published() == list(TYPES[:number])
    assert all(is_complete(path) for path in (workspace.root / "artifacts").glob("*/*"))
    assert executions(workspace) == [*((name, "done") for name in STAGES[:number]), (stage, "running")]
    assert len(staged(workspace)) == 2  # the folder and its lock, which nobody holds any more

    # the next run clears up, resumes from scratch, and repeats nothing that was done
    control.do(stage, "output.properties['resumed'] = (context.scratch / 'checkpoint').read_text()")
    [result, _] = start_run().lines()
    assert result["error"] is None
    assert result["stages"] == {
        name: "cached" if index < number else "done" for index, name in enumerate(STAGES)
    }
    assert control.log == [*STAGES[: number + 1], *STAGES[number:]]
    assert published() == list(TYPES)
    assert staged(workspace) == []
    assert list((workspace.root / "scratch").iterdir()) == []
    assert not any(changed_files(path) for path in (workspace.root / "artifacts").glob("*/*"))
    assert [run["summary"] is None for run in workspace.store.runs()] == [False, True]


def test_run_killed_in_a_stage_that_has_started_processes(hanging):
    killed = hanging("fit", CHILD)
    assert len(killed.alive()) == 4
    killed.kill()
    wait_until(lambda: not killed.alive())


def test_interrupted_run_clears_up(hanging, workspace, published):
    interrupted = hanging("fit", CHILD)
    interrupted.process.send_signal(signal.SIGINT)
    interrupted.process.wait()
    wait_until(lambda: not interrupted.alive())
    assert published() == ["Data"]
    assert staged(workspace) == []
    assert executions(workspace) == [("load", "done"), ("fit", "failed")]


def test_staging_of_a_run_that_lives_is_kept(hanging, start_run, control, workspace):
    hanging("report")
    alive = staged(workspace)
    control.undo("report")
    [result, _] = start_run({"load": "of another run"}).lines()
    assert result["error"] is None
    assert staged(workspace) == alive


@pytest.mark.parametrize("victim", ["getpid", "getppid"])
def test_killed_child_or_warm_process(run, control, workspace, published, victim):
    control.do("fit", f"output.write('half'); os.kill(os.{victim}(), signal.SIGKILL); signal.pause()")
    result = run(toy_pipeline(control))
    assert outcome(result) == {"load": "done", "fit": "failed", "report": "blocked"}
    assert result.error.exit_code == 1
    assert ("SIGKILL" if victim == "getpid" else "the process that starts it died") in result.error.what
    assert result.traceback == ""
    assert published() == ["Data"]
    assert staged(workspace) == []
    assert executions(workspace) == [("load", "done"), ("fit", "failed")]
    control.undo("fit")
    assert outcome(run(toy_pipeline(control))) == {"load": "cached", "fit": "done", "report": "done"}
