"""Drift from one run to the next, with the real stages and the real cache."""

import PIL.Image
import pytest
from small_images import encode, noise, write_files

from conveyor.components.artifacts import Anomalies, Blessing
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.example_gen.stage import example_gen
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.components.example_validator.stage import example_validator
from conveyor.components.schema_gen.stage import schema_gen
from conveyor.components.statistics_gen.stage import statistics_gen
from conveyor.pipeline.config import Settings
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.runners.local import LocalRunner
from conveyor.pipeline.stage import Context, In, Out, stage
from conveyor.pipeline.workspace import Workspace

pytestmark = pytest.mark.slow


@stage
def bless(anomalies: In[Anomalies], blessing: Out[Blessing], settings: Settings, context: Context) -> None:
    """Stands for training and evaluation."""
    blessing.properties["summary"] = {"blessed": True}


@pytest.fixture
def go(tmp_path):
    """Runs the data stages; returns the kinds of anomalies, and which stages were executed."""
    workspace = Workspace(tmp_path / "space")

    def go(drift="warning"):
        checks = ExampleValidatorSettings(required_splits=["train"], leaks="off", drift=drift)
        nodes = [
            Node(example_gen, ExampleGenSettings(source=f"folder:{tmp_path / 'data'}")),
            *(
                Node(statistics_gen, statistics_gen.settings_type()),
                Node(schema_gen, schema_gen.settings_type()),
            ),
            *(Node(example_validator, checks), Node(bless)),
        ]
        result = LocalRunner(workspace).run(Pipeline(nodes), "toy")
        found = result.outputs["example_validator"]["anomalies"].read()
        executed = [report.name for report in result.stages if report.status == "done" and not report.cached]
        return {one["kind"] for one in found}, executed

    return go


def fill(folder, shade):
    """Images of noise around a shade."""
    for name in ("cat", "dog"):
        for number in range(60):
            pixels = noise(8, 8, seed=[shade, ord(name[0]), number]) // 8 + shade
            write_files(folder / name, {f"{number}.png": encode(PIL.Image.fromarray(pixels))})


def test_drift_is_told_until_the_data_is_blessed(go, tmp_path):
    fill(tmp_path / "data", 40)
    kinds, executed = go()
    assert "drift" not in kinds
    assert executed == ["example_gen", "statistics_gen", "schema_gen", "example_validator", "bless"]
    assert go()[1] == []
    fill(tmp_path / "data", 180)
    kinds, executed = go("error")
    assert "drift" in kinds
    assert "example_gen" in executed
    assert "bless" not in executed, "the gate is closed"
    assert go("error") == (kinds, [])
    assert "drift" in go()[0]  # as a warning, so this run is blessed
    kinds, executed = go()
    assert "drift" not in kinds
    assert executed == ["example_validator"], "its result is the same as that of the first run"
    assert go()[1] == []
