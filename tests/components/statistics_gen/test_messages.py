"""The protos that other tools read hold the same numbers."""

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from conveyor.components.statistics_gen.messages import to_proto


def numbers(low, median, high):
    quantiles = [low, low, median, high, high]
    return {"min": low, "max": high, "mean": 0.25 + low, "std": 0.5, "quantiles": quantiles}


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
        "brightness": numbers(0.5, 100.25, 255),
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
        "brightness": numbers(4, 4, 4),
    },
}


@pytest.fixture(scope="module")
def datasets():
    data = to_proto(DOCUMENT).SerializeToString(deterministic=True)
    message = statistics_pb2.DatasetFeatureStatisticsList.FromString(data)
    return {dataset.name: dataset for dataset in message.datasets}


def features(dataset):
    return {feature.path.step[0]: feature for feature in dataset.features}


def test_splits(datasets):
    assert {name: dataset.num_examples for name, dataset in datasets.items()} == {"train": 6, "test": 1}
    assert list(features(datasets["train"])) == [
        *("width", "height", "bytes", "brightness"),
        *("label", "format", "mode"),
    ]


@pytest.mark.parametrize("split", DOCUMENT)
@pytest.mark.parametrize(("name", "kind"), [("width", 0), ("height", 0), ("bytes", 0), ("brightness", 1)])
def test_numbers(datasets, split, name, kind):
    feature, known = features(datasets[split])[name], DOCUMENT[split][name]
    stats = feature.num_stats
    assert feature.type == kind  # INT, FLOAT
    assert (stats.min, stats.max, stats.mean) == (known["min"], known["max"], known["mean"])
    assert (stats.std_dev, stats.median) == (0.5, known["quantiles"][2])
    (histogram,) = stats.histograms
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
