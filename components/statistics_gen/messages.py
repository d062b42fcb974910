"""Statistics as tensorflow_metadata protos, which TFDV and Facets read."""

import itertools
import typing

from tensorflow_metadata.proto.v0 import statistics_pb2

NUMERIC = {"width": "INT", "height": "INT", "bytes": "INT", "brightness": "FLOAT"}
_STRINGS = {"label": "classes", "format": "formats", "mode": "modes"}


def to_proto(document: dict[str, typing.Any]) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Returns the statistics document as a proto: one data set a split, one feature a fact."""
    message = statistics_pb2.DatasetFeatureStatisticsList()
    for split, values in document.items():
        dataset = message.datasets.add(name=split, num_examples=values["examples"])
        for name, kind in NUMERIC.items():
            feature = dataset.features.add(type=kind)
            feature.path.step.append(name)
            _fill_numeric(feature.num_stats, values[name], values["examples"])
        for name, key in _STRINGS.items():
            feature = dataset.features.add(type="STRING")
            feature.path.step.append(name)
            _fill_string(feature.string_stats, values[key], values["examples"])
    return message


def _fill_common(common: statistics_pb2.CommonStatistics, count: int) -> None:
    common.num_non_missing = common.tot_num_values = count
    common.min_num_values = common.max_num_values = 1
    common.avg_num_values = 1.0


def _fill_numeric(stats: statistics_pb2.NumericStatistics, values: dict[str, typing.Any], count: int) -> None:
    _fill_common(stats.common_stats, count)
    stats.mean, stats.std_dev = values["mean"], values["std"]
    stats.min, stats.max = values["min"], values["max"]
    edges = values["quantiles"]
    stats.median = edges[len(edges) // 2]
    histogram = stats.histograms.add(type="QUANTILES")
    for low, high in itertools.pairwise(edges):
        histogram.buckets.add(low_value=low, high_value=high, sample_count=count / (len(edges) - 1))


def _fill_string(stats: statistics_pb2.StringStatistics, counts: dict[str, int], count: int) -> None:
    _fill_common(stats.common_stats, count)
    ranked = sorted(((n, name) for name, n in counts.items() if n), key=lambda pair: (-pair[0], pair[1]))
    stats.unique = len(ranked)
    stats.avg_length = sum(len(name) * n for n, name in ranked) / count
    for rank, (n, name) in enumerate(ranked):
        stats.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=name, sample_count=n)
        if rank < 10:
            stats.top_values.add(value=name, frequency=n)
