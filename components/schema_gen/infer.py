"""A tensorflow_metadata schema from statistics."""

import math
import typing

from tensorflow_metadata.proto.v0 import schema_pb2

from conveyor.components.schema_gen.features import look_up

CLASS_THRESHOLD = 0.05  # difference of shares
NUMBER_THRESHOLD = 0.1  # Jensen-Shannon divergence, in bits
_ROOM = 2  # the most objects and the smallest box seen are random: others may go beyond by this factor
_COMPARED = ("aspect", "brightness", "sharpness")


def infer_schema(statistics: dict[str, typing.Any]) -> schema_pb2.Schema:
    """Returns the schema of a statistics document.

    It is that of the training split, or of the first with examples if there is none of that name.
    """
    whole = {split: values for split, values in statistics.items() if values["examples"]}
    seen: dict[str, typing.Any] = whole.get("train") or next(iter(whole.values()), {})
    schema = schema_pb2.Schema()
    schema.feature.add(name="image", type="BYTES").image_domain.SetInParent()
    for name in ("label", "format", "mode"):
        if look_up(seen, name):
            feature = _add_strings(schema, schema.feature, name, name, seen)
            if name == "label":
                _compare_classes(feature)
    for name in ("width", "height"):
        if limits := look_up(seen, name):
            feature = _add(schema.feature, name, "INT")
            feature.int_domain.min, feature.int_domain.max = int(limits["min"]), int(limits["max"])
            _compare_numbers(feature)
    for name in _COMPARED:
        if look_up(seen, name):
            _compare_numbers(_add(schema.feature, name, "FLOAT"))
    if "objects" in seen:
        _add_objects(schema, seen)
    if "mask" in seen:
        mask = schema.feature.add(name="mask", type="STRUCT")
        mask.presence.min_fraction = 1.0
        _add_strings(schema, mask.struct_domain.feature, "label", "mask/label", seen, single=False)
    return schema


def _add(features: typing.Any, name: str, kind: str, *, single: bool = True) -> schema_pb2.Feature:
    """Adds a feature; a single one has exactly one value in each example."""
    feature = features.add(name=name, type=kind)
    if single:
        feature.presence.min_fraction = 1.0
        feature.shape.dim.add(size=1)
    return feature


def _add_strings(
    schema: schema_pb2.Schema,
    features: typing.Any,
    name: str,
    path: str,
    seen: dict[str, typing.Any],
    *,
    single: bool = True,
) -> schema_pb2.Feature:
    feature = _add(features, name, "BYTES", single=single)
    feature.domain = path
    domain = schema.string_domain.add(name=path)
    domain.value.extend(value for value, count in look_up(seen, path).items() if count)
    return feature


def _add_objects(schema: schema_pb2.Schema, seen: dict[str, typing.Any]) -> None:
    objects = schema.feature.add(name="objects", type="STRUCT")
    objects.value_count.min = 0
    objects.value_count.max = _ROOM * int(seen["objects"]["per_image"]["max"])
    parts = objects.struct_domain.feature
    _compare_classes(_add_strings(schema, parts, "label", "objects/label", seen, single=False))
    for name in ("size", "aspect"):
        feature = _add(parts, name, "FLOAT", single=False)
        limits = look_up(seen, f"objects/{name}")
        if name == "size" and limits:
            feature.float_domain.min = math.floor(limits["min"] / _ROOM * 100) / 100
        _compare_numbers(feature)


def _compare_classes(feature: schema_pb2.Feature) -> None:
    for comparator in (feature.skew_comparator, feature.drift_comparator):
        comparator.infinity_norm.threshold = CLASS_THRESHOLD


def _compare_numbers(feature: schema_pb2.Feature) -> None:
    for comparator in (feature.skew_comparator, feature.drift_comparator):
        comparator.jensen_shannon_divergence.threshold = NUMBER_THRESHOLD
