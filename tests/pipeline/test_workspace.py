import concurrent.futures
import errno
import json
import os
import pathlib
import threading

import pytest

from conveyor.pipeline.artifacts import Artifact, is_complete, seal
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.lock import locked
from conveyor.pipeline.workspace import Workspace


class Kind(Artifact):
    pass


def make(folder, text="content"):
    """Returns a sealed artifact that is not yet published."""
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text(text)
    artifact = Kind(folder)
    seal(artifact, {"stage": "m:s", "key": folder.name})
    return artifact


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_layout(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    root = Workspace("~/deep/space").root
    assert root == tmp_path / "deep" / "space"
    assert {"artifacts", "locks", "metadata.sqlite", "runs", "scratch", "staging"} <= set(entries(root))
    Workspace(root)  # again


# === no permission, no space ===


def test_workspace_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="the workspace cannot be written: Not a directory") as caught:
        Workspace(tmp_path / "file" / "space")
    assert str(tmp_path / "file") in caught.value.where
    assert "--workspace" in caught.value.fix


def test_workspace_without_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who has all
    with pytest.raises(UserError, match="the workspace cannot be written: Permission denied") as caught:
        Workspace(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_workspace_on_a_full_disk(tmp_path, monkeypatch):
    def mkdir(path, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(pathlib.Path, "mkdir", mkdir)
    with pytest.raises(UserError, match="No space left on device") as caught:
        Workspace(tmp_path / "space")
    assert "free some space" in caught.value.fix


def test_workspace_with_a_damaged_store(tmp_path):
    (tmp_path / "metadata.sqlite").mkdir()
    with pytest.raises(UserError, match="metadata store cannot be used"):
        Workspace(tmp_path)


# === runs ===


def test_run_names_are_unique_and_recorded(workspace):
    names = {workspace.new_run("digits", {}) for _ in range(20)}
    assert len(names) == 20
    assert {run["name"] for run in workspace.store.runs()} == names == set(entries(workspace.root / "runs"))


def test_finish_run(workspace):
    run = workspace.new_run("digits", {})
    workspace.finish_run(run, {"metrics": {"accuracy": 1}})
    folder = workspace.root / "runs" / run
    assert entries(folder) == ["summary.json"]
    assert json.loads((folder / "summary.json").read_text()) == {"metrics": {"accuracy": 1}}
    assert workspace.store.runs()[0]["summary"] == {"metrics": {"accuracy": 1}}


# === staging ===


def test_staging_is_removed_with_its_run(workspace):
    with workspace.staging("run") as folder:
        (folder / "stage").mkdir()
    assert entries(workspace.root / "staging") == []


def test_staging_is_removed_with_a_run_that_fails(workspace):
    def fail():
        with workspace.staging("run") as folder:
            (folder / "stage").mkdir()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert entries(workspace.root / "staging") == []


def test_staging_of_dead_runs_is_cleared(workspace):
    for name in ("with a lock file", "without"):
        (workspace.root / "staging" / name / "stage").mkdir(parents=True)
    (workspace.root / "staging" / "with a lock file.lock").touch()
    with workspace.staging("run"):
        assert entries(workspace.root / "staging") == ["run", "run.lock"]


def test_staging_of_live_runs_is_kept(workspace):
    # names with dots: what follows the last one is no suffix to replace
    with workspace.staging("1-v1.0-aaaa") as first:
        (first / "stage").mkdir()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:

            def second():
                with workspace.staging("1-v1.0-bbbb"):
                    return entries(first)

            assert pool.submit(second).result(timeout=20) == ["stage"]
        assert entries(workspace.root / "staging") == ["1-v1.0-aaaa", "1-v1.0-aaaa.lock"]


def test_staging_is_locked_before_it_can_be_seen(workspace, monkeypatch):
    # or another run would take it for that of a dead one, and remove it
    real = pathlib.Path.mkdir

    def mkdir(path, *args, **options):
        real(path, *args, **options)
        with pytest.raises(BlockingIOError), locked(path.with_name(path.name + ".lock"), wait=False):
            pass

    monkeypatch.setattr(pathlib.Path, "mkdir", mkdir)
    with workspace.staging("run") as folder:
        assert folder.is_dir()


def test_many_runs_at_once_keep_their_staging(workspace):
    barrier = threading.Barrier(8)

    def work(number):
        lost = 0
        for turn in range(25):
            barrier.wait()
            with workspace.staging(f"{number}-{turn}") as folder:
                (folder / "stage").mkdir()
                lost += not (folder / "stage").is_dir()
        return lost

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 0
    assert entries(workspace.root / "staging") == []


# === locks ===


def test_execution_lock_keeps_others_out_until_it_is_left(workspace):
    order = []

    def other():
        order.append("waits")
        with workspace.execution_lock("key"):
            order.append("works")

    thread = threading.Thread(target=other)
    with workspace.execution_lock("key"):
        thread.start()
        with workspace.execution_lock("another key"):
            thread.join(timeout=0.05)
        order.append("leaves")
    thread.join(timeout=20)
    assert order == ["waits", "leaves", "works"]


# === publishing ===


def test_publish(workspace, tmp_path):
    artifact = make(tmp_path / "staged")
    final = workspace.publish(artifact)
    assert final == workspace.root / "artifacts" / "Kind" / artifact.digest
    assert not artifact.path.exists()
    assert (final / "a.txt").read_text() == "content"


def test_publish_renames_what_is_complete_in_one_step(workspace, tmp_path, monkeypatch):
    seen = []

    def rename(source, target, real=os.rename):
        seen.append((is_complete(pathlib.Path(source)), pathlib.Path(target).exists()))
        real(source, target)
        seen.append(is_complete(pathlib.Path(target)))

    monkeypatch.setattr(os, "rename", rename)
    workspace.publish(make(tmp_path / "staged"))
    assert seen == [(True, False), True]


def test_publishing_the_same_content_keeps_the_first(workspace, tmp_path):
    first = workspace.publish(make(tmp_path / "first"))
    before = os.stat(first / "a.txt")
    second = make(tmp_path / "second")
    assert workspace.publish(second) == first
    assert os.stat(first / "a.txt").st_ino == before.st_ino
    assert second.path.exists()  # left to whoever owns the staging folder


def test_publishing_mends_a_damaged_artifact(workspace, tmp_path):
    final = workspace.publish(make(tmp_path / "first"))
    (final / "a.txt").unlink()
    assert workspace.publish(make(tmp_path / "second")) == final
    assert is_complete(final)


def test_failed_publish_leaves_nothing(workspace, tmp_path, monkeypatch):
    def rename(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="No space left"):
        workspace.publish(make(tmp_path / "staged"))
    assert entries(workspace.root / "artifacts" / "Kind") == []


def test_publishing_the_same_content_at_once(workspace, tmp_path):
    # half of the rounds start from a damaged artifact, which only one of them may mend
    barrier = threading.Barrier(6)

    def publish(artifact):
        barrier.wait()
        return is_complete(workspace.publish(artifact))

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for turn in range(20):
            staged = [make(tmp_path / f"{turn}-{number}") for number in range(6)]
            assert all(pool.map(publish, staged))
            final = workspace.path_of("Kind", staged[0].digest)
            assert entries(final.parent) == [staged[0].digest]
            if turn % 2:
                (final / "a.txt").unlink()
