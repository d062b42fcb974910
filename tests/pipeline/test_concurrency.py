"""Several processes use one workspace at the same time."""

import multiprocessing
import sqlite3

import pytest
from toy_stages import wait_until

from conveyor.pipeline.artifacts import changed_files
from conveyor.pipeline.workspace import Workspace

STAGES = ["load", "fit", "report"]


@pytest.fixture
def query(tmp_path):
    def query(sql):
        db = sqlite3.connect(tmp_path / "space" / "metadata.sqlite")
        rows = db.execute(sql).fetchall()
        db.close()
        return rows

    return query


@pytest.mark.parametrize("stage", STAGES)
def test_same_pipeline_at_once_runs_each_stage_once(start_run, control, query, workspace, stage):
    # neither gets past this stage before both have come to it
    control.do(stage, "wait_until((control / 'go').exists)")
    runs = [start_run() for _ in range(2)]
    wait_until(lambda: control.log.count(stage) == 1)
    wait_until(lambda: sum(1 for run in runs if waits_for_lock(run)) == 1)
    (control.path / "go").touch()
    results = [run.lines()[0] for run in runs]
    assert [result["error"] for result in results] == [None, None]
    assert control.log == STAGES
    for name in STAGES:
        assert sorted(result["stages"][name] for result in results) == ["cached", "done"]
    assert query("SELECT stage, status FROM executions ORDER BY id") == [(name, "done") for name in STAGES]
    assert query("SELECT COUNT(*) FROM runs WHERE summary IS NOT NULL") == [(2,)]
    assert list((workspace.root / "staging").iterdir()) == []


def waits_for_lock(run):
    """Whether a process is blocked in flock."""
    with open("/proc/locks", encoding="utf-8") as locks:
        return any("->" in line and f" {run.process.pid} " in line for line in locks)


def test_one_that_dies_at_work_lets_the_other_work(start_run, control, query):
    control.do("load", "wait_until((control / 'go').exists)")
    runs = [start_run() for _ in range(2)]
    wait_until(lambda: control.log)
    [waiting] = wait_until(lambda: [run for run in runs if waits_for_lock(run)])
    [at_work] = [run for run in runs if run is not waiting]
    at_work.kill()
    (control.path / "go").touch()
    result = waiting.lines()[0]
    assert result["stages"] == dict.fromkeys(STAGES, "done")
    statuses = [status for _, status in query("SELECT id, status FROM executions ORDER BY id")]
    assert statuses == ["running", "done", "done", "done"]


def test_different_pipelines_hammer_one_store(start_run, control, query, workspace):
    # some stages in common, most not
    values = [[{"load": str(n % 3), "report": f"{p} {n}"} for n in range(12)] for p in "ab"]
    runs = [start_run(*some) for some in values]
    results = [line for run in runs for line in run.lines()[:-1]]
    assert [result["error"] for result in results] == [None] * 24
    assert sorted(control.log) == sorted(["load"] * 3 + ["fit"] * 3 + ["report"] * 24)
    assert query("SELECT COUNT(*) FROM executions WHERE status = 'done'") == [(30,)]
    assert query("SELECT key FROM executions GROUP BY key HAVING COUNT(*) > 1") == []
    assert query("PRAGMA integrity_check") == [("ok",)]
    assert query("PRAGMA journal_mode") == [("wal",)]
    folders = [path for path in (workspace.root / "artifacts").glob("*/*") if path.is_dir()]
    assert {(path.name,) for path in folders} == set(query("SELECT digest FROM artifacts"))
    assert not any(changed_files(path) for path in folders)


def open_new(root, barrier, errors):
    barrier.wait()
    try:
        Workspace(root)
    except Exception as error:
        errors.put(repr(error))
    else:
        errors.put("")


def test_new_workspace_is_opened_by_many_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, errors = context.Barrier(4), context.Queue()
    for turn in range(15):
        arguments = (tmp_path / str(turn), barrier, errors)
        processes = [context.Process(target=open_new, args=arguments) for _ in range(4)]
        for process in processes:
            process.start()
        assert [errors.get(timeout=60) for _ in processes] == [""] * 4
        for process in processes:
            process.join()
