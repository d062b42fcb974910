"""The protos that other tools read hold the same numbers."""

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from conveyor.components.statistics_gen.messages import to_proto
from conveyor.components.statistics_gen.sketch import Sketch


def numbers(low, median, high):
    quantiles = [low, low, median, high, high]
    sketch = Sketch().add(np.array([0, 0, low, high]))
    facts = {"min": low, "max": high, "mean": 0.25 + low, "std": 0.5, "quantiles": quantiles}
    return {**facts, "sketch": sketch.to_json()}


DOCUMENT = {
    "train": {
        "examples": 6,
        "classes": {"ant": 2, "bee": 4, "cat": 0},
        "formats": {"JPEG": 5, "PNG": 1},
        "modes": {"RGB": 6},
        "channel_mean": [1.0],
        "channel_std": [2.0],
        "width": numbers(3, 4, 9),
        "height": numbers(5, 6, 7),
        "bytes": numbers(100, 200, 400),
        "aspect": numbers(0.5, 1, 2),
        "brightness": numbers(0.5, 100.25, 255),
        "sharpness": numbers(1, 2, 3),
        "objects": {
            "count": 12,
            "crowd": 0,
            "difficult": 0,
            "empty_images": 2,
            "classes": {"ant": 3, "bee": 9, "cat": 0},
            "per_image": numbers(0, 2, 5),
            "size": numbers(4, 6, 8),
            "relative_size": numbers(0.1, 0.2, 0.3),
            "aspect": numbers(0.5, 1, 3),
        },
        "mask": {
            "shares": {"ant": 0.25, "bee": 0.75, "cat": 0},
            "images": {"ant": 3, "bee": 6, "cat": 0},
            "void": 0.1,
        },
    },
    "test": {
        "examples": 1,
        "classes": {"ant": 0, "bee": 1, "cat": 0},
        "formats": {"PNG": 1},
        "modes": {"L": 1},
        "channel_mean": [1.0],
        "channel_std": [2.0],
        "width": numbers(1, 1, 1),
        "height": numbers(2, 2, 2),
        "bytes": numbers(3, 3, 3),
        "aspect": numbers(1, 1, 1),
        "brightness": numbers(4, 4, 4),
        "sharpness": numbers(5, 5, 5),
    },
}


@pytest.fixture(scope="module")
def datasets():
    data = to_proto(DOCUMENT).SerializeToString(deterministic=True)
    message = statistics_pb2.DatasetFeatureStatisticsList.FromString(data)
    return {dataset.name: dataset for dataset in message.datasets}


def features(dataset):
    return {"/".join(feature.path.step): feature for feature in dataset.features}


def test_splits(datasets):
    assert {name: dataset.num_examples for name, dataset in datasets.items()} == {"train": 6, "test": 1}
    assert list(features(datasets["train"])) == [
        *("width", "height", "bytes", "aspect", "brightness", "sharpness"),
        *("label", "format", "mode"),
        *("objects", "objects/label", "objects/size", "objects/relative_size", "objects/aspect"),
        *("mask", "mask/label"),
    ]
    assert list(features(datasets["test"]))[-1] == "mode"


@pytest.mark.parametrize("split", DOCUMENT)
@pytest.mark.parametrize(("name", "kind"), [("width", 0), ("height", 0), ("bytes", 0), ("brightness", 1)])
def test_numbers(datasets, split, name, kind):
    feature, known = features(datasets[split])[name], DOCUMENT[split][name]
    stats = feature.num_stats
    assert feature.type == kind  # INT, FLOAT
    assert (stats.min, stats.max, stats.mean) == (known["min"], known["max"], known["mean"])
    assert (stats.std_dev, stats.median) == (0.5, known["quantiles"][2])
    standard, histogram = stats.histograms
    assert standard.type == statistics_pb2.Histogram.STANDARD
    assert sum(bucket.sample_count for bucket in standard.buckets) == 4
    assert len(standard.buckets) == 10
    assert stats.num_zeros == 2
    assert histogram.type == statistics_pb2.Histogram.QUANTILES
    edges = [bucket.low_value for bucket in histogram.buckets] + [histogram.buckets[-1].high_value]
    assert edges == known["quantiles"]
    assert [b.high_value for b in histogram.buckets][:-1] == [b.low_value for b in histogram.buckets][1:]
    counts = [bucket.sample_count for bucket in histogram.buckets]
    assert counts == [DOCUMENT[split]["examples"] / 4] * 4
    assert stats.common_stats.num_non_missing == DOCUMENT[split]["examples"]


def test_classes(datasets):
    stats = features(datasets["train"])["label"].string_stats
    # The most frequent first; what does not occur is not there. (3 * 2 + 3 * 4) / 6 letters.
    assert [(value.value, value.frequency) for value in stats.top_values] == [("bee", 4), ("ant", 2)]
    buckets = [(b.label, b.sample_count, b.low_rank, b.high_rank) for b in stats.rank_histogram.buckets]
    assert buckets == [("bee", 4, 0, 0), ("ant", 2, 1, 1)]
    assert (stats.unique, stats.avg_length) == (2, 3)


def test_formats_and_modes(datasets):
    stats = features(datasets["train"])["format"].string_stats
    assert [(value.value, value.frequency) for value in stats.top_values] == [("JPEG", 5), ("PNG", 1)]
    assert stats.avg_length == pytest.approx((4 * 5 + 3) / 6)
    stats = features(datasets["test"])["mode"].string_stats
    assert [(value.value, value.frequency) for value in stats.top_values] == [("L", 1)]


def test_many_classes():
    classes = {f"class {number:03d}": number for number in range(1, 31)}
    values = {**DOCUMENT["train"], "classes": classes, "examples": sum(classes.values())}
    (dataset,) = to_proto({"train": values}).datasets
    stats = features(dataset)["label"].string_stats
    assert [value.frequency for value in stats.top_values] == list(range(30, 20, -1))
    assert [bucket.sample_count for bucket in stats.rank_histogram.buckets] == list(range(30, 0, -1))
    assert stats.unique == 30


def test_objects(datasets):
    found = features(datasets["train"])
    assert found["objects"].type == statistics_pb2.FeatureNameStatistics.STRUCT
    common = found["objects"].struct_stats.common_stats
    # 12 objects in 4 of 6 images, so 3 in each that has any.
    assert (common.num_non_missing, common.num_missing, common.tot_num_values) == (4, 2, 12)
    assert (common.min_num_values, common.max_num_values, common.avg_num_values) == (1, 5, 3)
    labels = found["objects/label"].string_stats
    assert [(value.value, value.frequency) for value in labels.top_values] == [("bee", 9), ("ant", 3)]
    assert labels.common_stats == common
    size = found["objects/size"].num_stats
    assert (size.min, size.median, size.max) == (4, 6, 8)
    assert size.common_stats == common
    assert sum(bucket.sample_count for bucket in size.histograms[1].buckets) == 12


def test_no_objects_at_all():
    empty = {"count": 0, "empty_images": 6, "classes": {"ant": 0}, "per_image": numbers(0, 0, 0)}
    values = {**DOCUMENT["train"], "objects": {**empty, **dict.fromkeys(("size", "aspect"))}}
    found = features(to_proto({"train": values}).datasets[0])
    assert found["objects"].struct_stats.common_stats.num_missing == 6
    assert "objects/label" not in found


def test_masks(datasets):
    found = features(datasets["train"])
    shares = {one.name: one.num for one in found["mask"].custom_stats}
    assert shares == {
        "share of ant": 0.25,
        "share of bee": 0.75,
        "share of cat": 0,
        "share of void": 0.1,
    }
    labels = found["mask/label"].string_stats
    assert [(value.value, value.frequency) for value in labels.top_values] == [("bee", 6), ("ant", 3)]
