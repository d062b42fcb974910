"""The features that a schema can speak of, and where their statistics are.

A part of an object or a mask has a path, such as "objects/label": in the schema it is the feature
`label` in the struct_domain of the feature `objects`.
"""

import typing
from collections.abc import Iterable

from tensorflow_metadata.proto.v0 import schema_pb2

# Of each, name -> count; and each number's summary: keys in the statistics of a split.
STRINGS = {
    "label": ("classes",),
    "format": ("formats",),
    "mode": ("modes",),
    "objects/label": ("objects", "classes"),
    "mask/label": ("mask", "images"),
}
NUMBERS = {
    **{name: (name,) for name in ("width", "height", "aspect", "bytes", "brightness", "sharpness")},
    **{f"objects/{name}": ("objects", name) for name in ("size", "relative_size", "aspect")},
}
STRUCTS = {"objects": ("objects",), "mask": ("mask",)}
KNOWN = ("image", *STRINGS, *NUMBERS, *STRUCTS)


def by_path(schema: schema_pb2.Schema) -> dict[str, schema_pb2.Feature]:
    """Returns path -> feature, of all features and the parts of structs."""
    return dict(_walk(schema.feature, ""))


def _walk(features: Iterable[typing.Any], head: str) -> typing.Iterator[tuple[str, typing.Any]]:
    for feature in features:
        yield head + feature.name, feature
        yield from _walk(feature.struct_domain.feature, f"{head}{feature.name}/")


def domain_of(schema: schema_pb2.Schema, feature: schema_pb2.Feature) -> list[str] | None:
    """Returns the values a feature may have; None where the schema does not say."""
    if feature.WhichOneof("domain_info") == "string_domain":
        return list(feature.string_domain.value)
    if feature.WhichOneof("domain_info") == "domain":
        return next(list(domain.value) for domain in schema.string_domain if domain.name == feature.domain)
    return None


def look_up(statistics: dict[str, typing.Any], path: str) -> typing.Any:
    """Returns what the statistics of a split say of a feature; None where nothing is measured."""
    found: typing.Any = statistics
    for key in {**STRINGS, **NUMBERS, **STRUCTS}[path]:
        found = (found or {}).get(key)
    return found
