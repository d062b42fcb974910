"""Duplicates planted in a folder are found through ingestion, statistics and validation."""

import numpy as np
import PIL.Image
import pytest
from small_images import decode, encode, write_files

from conveyor.components.artifacts import Anomalies, Examples, Schema, Statistics
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.components.example_validator.stage import example_validator
from conveyor.components.schema_gen.settings import SchemaGenSettings
from conveyor.components.schema_gen.stage import schema_gen
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.statistics_gen.stage import statistics_gen
from conveyor.pipeline.stage import Context


def texture(seed):
    """A picture with structure at every scale, unlike that of any other seed."""
    dice = np.random.default_rng(seed)
    total = np.zeros((96, 96, 3))
    for side in (3, 6, 12, 24, 48):
        layer = dice.integers(0, 256, (side, side, 3), dtype=np.uint8)
        total += np.asarray(PIL.Image.fromarray(layer).resize((96, 96), PIL.Image.Resampling.BICUBIC)) / 5
    return total.astype(np.uint8)


@pytest.fixture(scope="module")
def anomalies(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    files = {
        f"{split}/{name}/{number}.png": encode(texture([place, far, number]))
        for far, split in enumerate(("train", "test"))
        for place, name in enumerate(("cat", "dog"))
        for number in range(12)
    }
    files["test/cat/exact.png"] = files["train/cat/3.png"]
    files["test/dog/again.jpg"] = encode(decode(files["train/cat/5.png"]), "JPEG", quality=75)
    files["train/dog/twice.png"] = encode(
        np.clip(decode(files["train/dog/7.png"]) * 1.05, 0, 255).astype(np.uint8)
    )
    kinds = {"examples": Examples, "statistics": Statistics, "schema": Schema, "anomalies": Anomalies}
    made = {name: kind(root / name) for name, kind in kinds.items()}
    for artifact in made.values():
        artifact.path.mkdir()
    context = Context(scratch=root / "scratch")
    context.scratch.mkdir()
    splits = {"train": 1, "validation": 0, "test": 0}
    source = f"folder:{write_files(root / 'data', files)}"
    ingest(made["examples"], ExampleGenSettings(source=source, splits=splits))
    inputs = {name: made[name] for name in ("examples", "statistics")}
    statistics_gen(**inputs, settings=StatisticsGenSettings(), context=context)
    schema_gen(
        statistics=made["statistics"], schema=made["schema"], settings=SchemaGenSettings(), context=context
    )
    example_validator(**made, settings=ExampleValidatorSettings(), context=context)
    return made["anomalies"]


def test_what_is_found(anomalies):
    found = {one["kind"]: one for one in anomalies.read()}
    assert set(found["leak"]["examples"]) == {
        *("train/cat/3.png", "test/cat/exact.png"),
        *("train/cat/5.png", "test/dog/again.jpg"),
    }
    assert "2 pairs (1 exact, 1 near), in 2 groups, of 4 images" in found["leak"]["long"]
    assert set(found["label_conflict"]["examples"]) == {"train/cat/5.png", "test/dog/again.jpg"}
    assert set(found["duplicate"]["examples"]) == {"train/dog/7.png", "train/dog/twice.png"}
    assert [one["kind"] for one in anomalies.read() if one["severity"] == "error"] == ["leak"]
    assert "duplicates in different splits" in anomalies.properties["gate"]["reason"]


def test_pictures_are_there(anomalies):
    (leak,) = [one for one in anomalies.read() if one["kind"] == "leak"]
    assert len(leak["pictures"]) == 2
    for picture in leak["pictures"]:
        with PIL.Image.open(anomalies.path / picture["file"]) as image:
            assert image.size == (96 + 8 + 96, 96)
    assert leak["pictures"][0]["caption"] == "test/dog/again.jpg (test, dog) | train/cat/5.png (train, cat)"
