"""Statistics of a data set: by hand, and against NumPy on the pixels themselves."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pydantic
import pytest
import tensorflow_datasets as tfds
from small_images import class_files, encode, noise, write_files

from conveyor.components.artifacts import Examples, Statistics
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import BeamSettings, ExampleGenSettings
from conveyor.components.facts import FACTS
from conveyor.components.statistics_gen.compute import compute_statistics
from conveyor.components.statistics_gen.messages import to_proto
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.statistics_gen.sketch import Sketch
from conveyor.components.statistics_gen.stage import statistics_gen
from conveyor.pipeline.stage import Context


def row(label, width, height, size, pixels, kind="PNG"):
    """The facts of an image; pixels is a list of values, or of one list for each channel."""
    channels = [pixels] if isinstance(pixels[0], int) else pixels
    luma = [1] if len(channels) == 1 else [0.299, 0.587, 0.114]
    sums = [sum(values) for values in channels]
    return {
        "key": "key",
        "label": label,
        "sharpness": 1.5,
        "objects": [],
        "mask_pixels": [],
        "width": width,
        "height": height,
        "bytes": size,
        "format": kind,
        "mode": "L" if len(channels) == 1 else "RGB",
        "brightness": sum(weight * total for weight, total in zip(luma, sums, strict=True)) / width / height,
        "pixel_sum": sums,
        "pixel_square_sum": [sum(value * value for value in values) for values in channels],
        "content_hash": "0",
    }


def make_examples(path, shards, classes, channels):
    """Writes the facts of "<split>-<number>" -> rows."""
    examples = Examples(path / "examples")
    examples.facts_dir.mkdir(parents=True)
    counts = {}
    for name, rows in shards.items():
        table = pa.Table.from_pylist(rows, FACTS)
        pyarrow.parquet.write_table(table, examples.facts_dir / f"{name}.parquet")
        split = name.rpartition("-")[0]
        counts[split] = counts.get(split, 0) + len(rows)
    examples.properties.update(
        splits=counts, classes=classes, channels=channels, annotations=["label"], mask_classes=[]
    )
    return examples


def compute(examples, path, **settings):
    work = path / "work"
    work.mkdir(exist_ok=True)
    return compute_statistics(examples, StatisticsGenSettings(**settings), work)


GREY = {
    "train-00000": [row(0, 2, 1, 70, [0, 255]), row(1, 2, 1, 80, [100, 100])],
    "train-00001": [row(1, 4, 1, 90, [10, 20, 30, 40], kind="JPEG")],
    "test-00000": [row(0, 1, 2, 75, [7, 7])],
}


def test_by_hand(tmp_path):
    found = compute(make_examples(tmp_path, GREY, ["cat", "dog", "elk"], 1), tmp_path, quantiles=2)
    train = found["train"]
    assert list(found) == ["train", "test"]
    assert train["examples"] == 3
    assert train["classes"] == {"cat": 1, "dog": 2, "elk": 0}
    assert train["formats"] == {"JPEG": 1, "PNG": 2}
    assert train["modes"] == {"L": 3}
    # 8 pixels: 255 + 200 + 100 = 555, so 69.375. Squares: 65025 + 20000 + 3000 = 88025, so
    # 88025 / 8 - 69.375^2 = 11003.125 - 4812.890625 = 6190.234375, of which the root is 78.678.
    assert train["channel_mean"] == [69.375]
    assert train["channel_std"] == [pytest.approx(math.sqrt(6190.234375), rel=1e-12)]
    # Widths 2, 2, 4: mean 8 / 3; 24 / 3 - 64 / 9 = 8 / 9.
    width = train["width"]
    assert (width["min"], width["max"], width["mean"]) == (2, 4, pytest.approx(8 / 3))
    assert width["std"] == pytest.approx(math.sqrt(8 / 9))
    assert width["quantiles"] == [pytest.approx(value, rel=0.005) for value in (2, 2, 4)]
    height = {"min": 1, "max": 1, "mean": 1, "std": 0, "quantiles": [1, 1, 1]}
    assert {**train["height"], "sketch": None} == {**height, "sketch": None}
    assert train["aspect"]["max"] == 4
    assert (train["sharpness"]["min"], train["sharpness"]["max"]) == (1.5, 1.5)
    assert {name: values["examples"] for name, values in train["per_class"].items()} == {"cat": 1, "dog": 2}
    assert train["per_class"]["dog"]["width"]["mean"] == 3
    assert train["per_class"]["dog"]["brightness"]["max"] == 100
    # Bytes 70, 80, 90: variance (100 + 0 + 100) / 3.
    assert (train["bytes"]["mean"], train["bytes"]["std"]) == (80, pytest.approx(math.sqrt(200 / 3)))
    # Brightness 127.5, 100, 25.
    assert (train["brightness"]["min"], train["brightness"]["max"]) == (25, 127.5)
    assert train["brightness"]["mean"] == 84.16666666666667
    assert found["test"]["channel_mean"] == [7]
    assert found["test"]["channel_std"] == [0]
    assert found["test"]["classes"] == {"cat": 1, "dog": 0, "elk": 0}
    assert "objects" not in train
    assert "mask" not in train


def test_a_split_without_examples(tmp_path):
    examples = make_examples(tmp_path, GREY, ["cat", "dog"], 1)
    examples.properties["splits"]["validation"] = 0
    found = compute(examples, tmp_path)
    assert found["validation"] == {"examples": 0}
    assert list(found) == ["train", "test", "validation"]
    (dataset,) = [one for one in to_proto(found).datasets if one.name == "validation"]
    assert (dataset.num_examples, len(dataset.features)) == (0, 0)


def test_examples_without_a_label(tmp_path):
    rows = [row(0, 2, 1, 70, [0, 255]), row(-1, 2, 1, 70, [0, 255])]
    train = compute(make_examples(tmp_path, {"train-00000": rows}, ["cat"], 1), tmp_path)["train"]
    assert (train["examples"], train["classes"]) == (2, {"cat": 1})
    label = {feature.path.step[0]: feature for feature in to_proto({"train": train}).datasets[0].features}[
        "label"
    ].string_stats.common_stats
    assert (label.num_non_missing, label.num_missing) == (1, 1)


def test_statistics_of_parts_are_those_of_the_whole(tmp_path):
    """Merging what two documents hold gives the sketches of both data sets together."""
    shards = {"train-00000": GREY["train-00000"]}, {"train-00000": GREY["train-00001"]}
    parts = [
        compute(make_examples(tmp_path / name, shard, ["cat", "dog"], 1), tmp_path)["train"]
        for name, shard in zip("ab", shards, strict=True)
    ]
    whole = compute(make_examples(tmp_path / "c", GREY, ["cat", "dog"], 1), tmp_path)["train"]
    for name in ("width", "bytes", "brightness", "aspect"):
        one, other = (Sketch.from_json(part[name]["sketch"]) for part in parts)
        assert one.merge(other).describe(10) == whole[name]


def test_grey_among_rgb_counts_for_each_channel(tmp_path):
    rows = [row(0, 1, 1, 9, [90]), row(0, 3, 1, 9, [[0, 0, 30], [10, 10, 10], [255, 255, 255]])]
    train = compute(make_examples(tmp_path, {"train-00000": rows}, ["cat"], 3), tmp_path)["train"]
    # 4 pixels: 90 + 30, 90 + 30, 90 + 765. Squares 8100 + 900, 8100 + 300, 8100 + 195075.
    assert train["channel_mean"] == [30, 30, 213.75]
    variances = [9000 / 4 - 900, 8400 / 4 - 900, 203175 / 4 - 213.75**2]
    assert train["channel_std"] == [pytest.approx(math.sqrt(value)) for value in variances]
    assert train["modes"] == {"L": 1, "RGB": 1}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """An ingested data set of grey and RGB images of several sizes, in several shards."""
    root = tmp_path_factory.mktemp("mixed")
    files = {
        **class_files(("cat",), each=150, size=(6, 5), channels=3),
        **class_files(("dog",), each=100, size=(9, 4)),
        "dog/wide.png": encode(noise(3, 40)),
        "cat/photo.jpg": encode(noise(16, 16, 3), "JPEG"),
    }
    examples = Examples(root / "examples")
    examples.path.mkdir()
    ingest(examples, ExampleGenSettings(source=f"folder:{write_files(root / 'data', files)}"))
    return examples


def test_against_the_pixels(mixed, tmp_path):
    assert len(list(mixed.facts_dir.glob("train-*"))) > 2, "there is something to merge"
    found = compute(mixed, tmp_path)
    builder = tfds.builder_from_directory(str(mixed.dataset_dir))
    for split in ("train", "validation", "test"):
        decoded = list(tfds.as_numpy(builder.as_dataset(split=split)))
        images = [example["image"].astype(np.float64) for example in decoded]
        pixels = np.concatenate([image.reshape(-1, 3) for image in images])
        # The one JPEG may be decoded a little differently there.
        np.testing.assert_allclose(found[split]["channel_mean"], pixels.mean(0), atol=0.1)
        np.testing.assert_allclose(found[split]["channel_std"], pixels.std(0), atol=0.1)
        for name, values in (
            ("width", [image.shape[1] for image in images]),
            ("height", [image.shape[0] for image in images]),
            ("brightness", [(image @ [0.299, 0.587, 0.114]).mean() for image in images]),
        ):
            facts = found[split][name]
            assert facts["mean"] == pytest.approx(np.mean(values), abs=0.1)
            assert facts["std"] == pytest.approx(np.std(values), abs=0.1)
            assert facts["min"] == pytest.approx(min(values), abs=2)
            assert facts["max"] == pytest.approx(max(values), abs=2)
            exact = np.quantile(values, np.linspace(0, 1, 11), method="lower")
            np.testing.assert_allclose(facts["quantiles"], exact, rtol=0.006)
        labels = [int(example["label"]) for example in decoded]
        assert found[split]["classes"] == {"cat": labels.count(0), "dog": labels.count(1)}
        assert found[split]["examples"] == len(decoded)
    formats = [found[split]["formats"] for split in found]
    assert sum(counts.get("JPEG", 0) for counts in formats) == 1
    assert sum(counts["PNG"] for counts in formats) == 251


def test_the_same_with_any_number_of_workers(mixed, tmp_path):
    two = BeamSettings(options=["--direct_running_mode=multi_threading", "--direct_num_workers=2"])
    one = BeamSettings(options=["--direct_num_workers=1"])
    texts = {json.dumps(compute(mixed, tmp_path, beam=how)) for how in (one, two, two)}
    assert len(texts) == 1


def test_the_stage_writes_both_forms(mixed, tmp_path):
    statistics, scratch = Statistics(tmp_path / "statistics"), tmp_path / "scratch"
    statistics.path.mkdir()
    scratch.mkdir()
    context = Context(scratch=scratch)
    statistics_gen(examples=mixed, statistics=statistics, settings=StatisticsGenSettings(), context=context)
    assert statistics.read() == compute(mixed, tmp_path)
    assert sorted(path.name for path in statistics.path.iterdir()) == ["statistics.json", "stats.pb"]


@pytest.mark.parametrize("quantiles", [0, -2, 1, 5])
def test_quantiles_need_a_median(quantiles):
    with pytest.raises(pydantic.ValidationError):
        StatisticsGenSettings(quantiles=quantiles)
