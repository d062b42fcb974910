"""Which run's data is compared with."""

import pytest

from conveyor.components.artifacts import Examples, Statistics
from conveyor.components.example_validator.baseline import last_blessed
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.stage import PastRun


@pytest.fixture
def past(tmp_path):
    """Makes an earlier run; its artifacts are named by the text they hold."""

    def past(data, *, blessed=True, kinds=(Examples, Statistics)):
        artifacts = {}
        for kind in kinds:
            artifact = kind(tmp_path / f"{kind.__name__} {data}", {"of": data})
            artifact.path.mkdir(exist_ok=True)
            seal(artifact, {})
            artifacts[kind.type_name()] = artifact
        return PastRun({"blessed": blessed}, artifacts)

    return past


def choose(now, *runs):
    found = last_blessed(None, {"examples": now.artifacts["Examples"]}, runs)
    return found and found.properties["of"]


def test_the_last_blessed_run(past):
    assert choose(past("now"), past("new"), past("old")) == "new"
    assert choose(past("now"), past("new", blessed=False), past("old")) == "old"
    assert choose(past("now"), past("new", blessed=None)) is None
    assert choose(past("now")) is None


def test_nothing_to_compare_where_the_examples_are_the_same(past):
    assert choose(past("same"), past("same"), past("old")) is None


def test_runs_without_the_artifacts(past):
    assert choose(past("now"), past("new", kinds=()), past("old")) == "old"


def test_statistics_that_are_gone(past):
    new = past("new")
    (new.artifacts["Statistics"].path / "artifact.json").unlink()
    assert choose(past("now"), new, past("old")) is None
