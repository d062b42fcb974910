"""Statistics as tensorflow_metadata protos, which TFDV and Facets read."""

import itertools
import typing

from tensorflow_metadata.proto.v0 import statistics_pb2

from conveyor.components.statistics_gen.sketch import Sketch

_NUMBERS = {
    **dict.fromkeys(("width", "height", "bytes"), "INT"),
    **dict.fromkeys(("aspect", "brightness", "sharpness"), "FLOAT"),
}
_STRINGS = {"label": "classes", "format": "formats", "mode": "modes"}
_BARS = 10  # of histograms
_TOP = 10  # most frequent values

Stats = dict[str, typing.Any]


def to_proto(document: Stats) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Returns the statistics document as a proto: one data set a split, one feature a fact.

    `objects` and `mask` are STRUCT features, whose parts are features of the paths `objects/label`,
    `objects/size`, …, `mask/label`. The custom statistics of `mask` are shares of pixels.
    """
    message = statistics_pb2.DatasetFeatureStatisticsList()
    for split, values in document.items():
        dataset = message.datasets.add(name=split, num_examples=values["examples"])
        if values["examples"]:
            _add_images(dataset, values)
            if "objects" in values:
                _add_objects(dataset, values["objects"])
            if "mask" in values:
                _add_mask(dataset, values["mask"], values["examples"])
    return message


def _feature(dataset: typing.Any, kind: str, *path: str) -> typing.Any:
    feature = dataset.features.add(type=kind)
    feature.path.step.extend(path)
    return feature


def _add_images(dataset: typing.Any, values: Stats) -> None:
    for name, kind in _NUMBERS.items():
        _fill_numbers(_feature(dataset, kind, name).num_stats, values[name], values["examples"])
    for name, key in _STRINGS.items():
        if key in values:
            stats = _feature(dataset, "STRING", name).string_stats
            _fill_strings(stats, values[key])
            present = sum(values[key].values())
            _fill_common(stats.common_stats, values["examples"], present, present)


def _add_objects(dataset: typing.Any, values: Stats) -> None:
    examples = dataset.num_examples
    count, present = values["count"], examples - values["empty_images"]
    per_image = _feature(dataset, "STRUCT", "objects").struct_stats.common_stats
    _fill_common(per_image, examples, present, count)
    if not count:
        return
    least = max(int(values["per_image"]["min"]), 1)
    per_image.min_num_values, per_image.max_num_values = least, int(values["per_image"]["max"])
    strings = _feature(dataset, "STRING", "objects", "label").string_stats
    _fill_strings(strings, values["classes"])
    strings.common_stats.CopyFrom(per_image)
    for name in ("size", "relative_size", "aspect"):
        numbers = _feature(dataset, "FLOAT", "objects", name).num_stats
        _fill_numbers(numbers, values[name], count)
        numbers.common_stats.CopyFrom(per_image)


def _add_mask(dataset: typing.Any, values: Stats, examples: int) -> None:
    """The values of an image's mask are the classes that occur in it."""
    mask = _feature(dataset, "STRUCT", "mask")
    _fill_common(mask.struct_stats.common_stats, examples, examples, examples)
    for name, share in (*values["shares"].items(), ("void", values["void"])):
        mask.custom_stats.add(name=f"share of {name}", num=share)
    strings = _feature(dataset, "STRING", "mask", "label").string_stats
    _fill_strings(strings, values["images"])
    strings.common_stats.tot_num_values = sum(values["images"].values())
    strings.common_stats.num_non_missing = examples


def _fill_common(common: typing.Any, examples: int, present: int, values: int) -> None:
    """Says in how many examples a feature is, and of how many values; of one each where equal."""
    common.num_non_missing, common.num_missing = present, examples - present
    common.tot_num_values = values
    if present:
        common.min_num_values = common.max_num_values = 1
        common.avg_num_values = values / present


def _fill_numbers(stats: typing.Any, values: Stats, count: int) -> None:
    _fill_common(stats.common_stats, count, count, count)
    sketch = Sketch.from_json(values["sketch"])
    stats.mean, stats.std_dev, stats.num_zeros = values["mean"], values["std"], sketch.zeros
    stats.min, stats.max = values["min"], values["max"]
    edges = values["quantiles"]
    stats.median = edges[len(edges) // 2]
    standard = stats.histograms.add(type="STANDARD")
    for low, high, size in sketch.histogram(_BARS):
        standard.buckets.add(low_value=low, high_value=high, sample_count=size)
    quantiles = stats.histograms.add(type="QUANTILES")
    for low, high in itertools.pairwise(edges):
        quantiles.buckets.add(low_value=low, high_value=high, sample_count=count / (len(edges) - 1))


def _fill_strings(stats: typing.Any, counts: dict[str, int]) -> None:
    ranked = sorted(((n, name) for name, n in counts.items() if n), key=lambda pair: (-pair[0], pair[1]))
    stats.unique = len(ranked)
    total = sum(n for n, _ in ranked)
    stats.avg_length = sum(len(name) * n for n, name in ranked) / max(total, 1)
    for rank, (n, name) in enumerate(ranked):
        stats.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=name, sample_count=n)
        if rank < _TOP:
            stats.top_values.add(value=name, frequency=n)
