"""Stages that compare with an artifact of an earlier run."""

import shutil
import sqlite3

import pytest
from toy_stages import Data, Page, outcome

from conveyor.pipeline.artifacts import Artifact, is_complete
from conveyor.pipeline.config import Settings
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.metadata import MetadataStore
from conveyor.pipeline.runners.local import LocalRunner
from conveyor.pipeline.stage import Context, In, Out, stage


class Value(Settings):
    value: str = ""


class Verdict(Artifact):
    pass


@stage
def source(data: Out[Data], settings: Value, context: Context) -> None:
    data.write(settings.value)


def blessed_before(settings, inputs, past):
    for run in past:
        before = run.artifacts.get("Data")
        if run.summary.get("blessed") and before:
            return before if before.digest != inputs["data"].digest and is_complete(before.path) else None
    return None


@stage(baseline=blessed_before)
def compare(data: In[Data], page: Out[Page], settings: Settings, context: Context) -> None:
    before = Data.load(context.baseline).read() if context.baseline else "nothing"
    page.write(f"{data.read()} after {before}")


@stage
def bless(page: In[Page], verdict: Out[Verdict], settings: Value, context: Context) -> None:
    verdict.properties["summary"] = {"blessed": settings.value == "yes"}


@pytest.fixture
def go(workspace):
    """Runs the pipeline; returns what the comparing stage wrote, and whether it was cached."""

    def go(value, blessed="yes", name="toy"):
        nodes = [Node(source, Value(value=value)), Node(compare), Node(bless, Value(value=blessed))]
        result = LocalRunner(workspace).run(Pipeline(nodes), name)
        return result.outputs["compare"]["page"].read(), outcome(result)["compare"]

    return go


def test_the_life_of_a_config(go):
    assert go("a") == ("a after nothing", "done")
    assert go("a") == ("a after nothing", "cached")
    assert go("b", "no") == ("b after a", "done")
    assert go("b", "no") == ("b after a", "cached")  # not blessed: still compared with the same
    assert go("b") == ("b after a", "cached")
    assert go("b") == ("b after nothing", "done")  # blessed now: nothing to compare
    assert go("b") == ("b after nothing", "cached")
    assert go("c") == ("c after b", "done")
    assert go("a") == ("a after c", "done")


def test_a_first_run_that_is_not_blessed(go):
    assert go("a", "no") == ("a after nothing", "done")
    assert go("a", "yes") == ("a after nothing", "cached")
    assert go("a", "yes") == ("a after nothing", "cached")


def test_runs_of_other_configs_do_not_count(go):
    go("a", name="one")
    assert go("b", name="other") == ("b after nothing", "done")
    assert go("b", name="one") == ("b after a", "done")


def test_an_artifact_that_is_gone(go, workspace):
    go("a")
    shutil.rmtree(workspace.root / "artifacts" / "Data")
    assert go("b") == ("b after nothing", "done")


def test_artifacts_of_a_run_that_made_none_itself(go, workspace):
    go("a", name="one")
    go("a", name="other")  # all from the cache
    ((_, artifacts),) = workspace.store.past_runs("other")
    assert [row["type"] for row in artifacts] == ["Data", "Page", "Verdict"]
    assert go("b", name="other") == ("b after a", "done")


def test_a_run_under_way_is_not_past(store_of_runs):
    store_of_runs.start_run("under way", "toy", {})
    assert [summary["at"] for summary, _ in store_of_runs.past_runs("toy")] == ["second", "first"]


@pytest.fixture
def store_of_runs(tmp_path, monkeypatch):
    store = MetadataStore(tmp_path / "metadata.sqlite")
    for second, name in enumerate(["first", "second"]):
        monkeypatch.setattr("time.time", lambda second=second: second)
        store.start_run(name, "toy", {})
        store.finish_run(name, {"at": name})
    return store


def test_a_store_made_before_artifacts_of_runs_were_recorded(store_of_runs):
    with sqlite3.connect(store_of_runs.path) as db:
        db.execute("DROP TABLE run_artifacts")
        db.execute("DROP INDEX runs_by_config")
    db.close()
    store = MetadataStore(store_of_runs.path)
    assert [artifacts for _, artifacts in store.past_runs("toy")] == [[], []]
    store.record_artifacts("first", {"load": {"data": "digest"}})
    assert len(store.runs()) == 2
