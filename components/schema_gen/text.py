"""A schema as a text to read and edit, and back, with checks."""

import pathlib
import re
import typing

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from conveyor.components.schema_gen.features import KNOWN, NUMBERS, STRINGS, STRUCTS, by_path
from conveyor.pipeline.errors import UserError, did_you_mean

_MOST_BYTES = 1 << 24
_HEADER = """\
# What the examples must look like: the text form of a Schema of tensorflow_metadata.
#
# It was inferred from the training split. To hold data to it from now on, save an edited copy beside
# the config and name it there: data.schema. What it does not say is not checked.
#
# presence           min_fraction: the share of the examples that must have it
# shape              one value in each example
# value_count        objects in an image, from min to max
# domain             the name of the string_domain, below, that lists the values it may have
# int_domain         from min to max; so does float_domain
# skew_comparator    the most that the training split and each other split may differ
# drift_comparator   the most that this data and that of the last blessed run may differ
#   infinity_norm              by the largest difference of a share; from 0 to 1
#   jensen_shannon_divergence  by how unlike the distributions are; 0 for the same, 1 for disjoint ones
"""
_COMMENTS = {
    "label": "The class of an image.",
    "width": "In pixels.",
    "brightness": "Mean luma, from 0 to 255.",
    "sharpness": "Standard deviation of luma's Laplacian.",
    "aspect": "Width / height.",
    "objects": "Boxes; size is the square root of the area, in pixels.",
    "mask": "Classes of pixels.",
}
# What is checked of a feature, by kind; and what says nothing to check.
_FIELDS = {
    "image": {"image_domain"},
    "string": {"presence", "shape", "domain", "string_domain", "skew_comparator", "drift_comparator"},
    "number": {"presence", "shape", "int_domain", "float_domain", "skew_comparator", "drift_comparator"},
    "struct": {"presence", "value_count", "struct_domain"},
}
_SILENT = {"name", "type", "annotation", "deprecated", "lifecycle_stage"}


def to_text(schema: schema_pb2.Schema) -> str:
    """Returns the schema as a text proto with comments; `parse_schema` makes the same schema of it."""
    parts = [_HEADER]
    for feature in schema.feature:
        comment = _COMMENTS.get(feature.name)
        parts.append((f"# {comment}\n" if comment else "") + _print(schema_pb2.Schema(feature=[feature])))
    parts += [_print(schema_pb2.Schema(string_domain=[domain])) for domain in schema.string_domain]
    return "\n".join(parts)


def _print(schema: schema_pb2.Schema) -> str:
    return text_format.MessageToString(schema, as_utf8=True)


def read_text(path: pathlib.Path) -> str:
    """Returns the text of a file.

    Raises:
        UserError: It cannot be read, is too large, or is no text.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) <= _MOST_BYTES:
            return data.decode("utf-8")
    except OSError as error:
        fix = "give data.schema the path of a text proto, or leave it out to infer the schema"
        raise UserError(f"the schema cannot be read: {error.strerror}", where=str(path), fix=fix) from None
    except UnicodeDecodeError as error:
        raise UserError(f"the schema is no text in UTF-8: {error}", where=str(path)) from None
    raise UserError("the schema is too large", expected=f"at most {_MOST_BYTES:,} bytes", where=str(path))


def parse_schema(text: str, where: str) -> schema_pb2.Schema:
    """Returns the schema that a text describes.

    Args:
        text: A text proto.
        where: The file it is from, for messages.

    Raises:
        UserError: It is no schema, or speaks of what is not measured or not checked; with the line.
    """
    try:
        schema = text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        line = f":{error.GetLine()}" if error.GetLine() else ""
        raise UserError(f"the schema cannot be parsed: {error}", where=f"{where}{line}") from None
    except RecursionError:
        raise UserError("the schema cannot be parsed: it is nested too deeply", where=where) from None
    domains = {domain.name for domain in schema.string_domain}
    for path, feature in by_path(schema).items():
        place = where + _line_of(text, "name", feature.name)
        if path not in KNOWN:
            raise UserError(
                f"the schema speaks of {path!r}, which is not measured",
                expected="parts of objects and masks in the struct_domain of their feature",
                where=place,
                fix=did_you_mean(path, KNOWN),
            )
        _check_fields(path, feature, place)
        if feature.WhichOneof("domain_info") == "domain" and feature.domain not in domains:
            raise UserError(
                f"the schema has no string_domain {feature.domain!r}, which {path!r} names",
                where=where + _line_of(text, "domain", feature.domain),
                fix=did_you_mean(feature.domain, domains),
            )
    return schema


def _line_of(text: str, field: str, value: str) -> str:
    """Returns ":<line>" of the first place where a field has a value; "" where it is written otherwise."""
    found = re.search(rf"\b{field}\s*:\s*[\"']{re.escape(value)}[\"']", text)
    return f":{text.count(chr(10), 0, found.start()) + 1}" if found else ""


def _check_fields(path: str, feature: typing.Any, where: str) -> None:
    kind = "number" if path in NUMBERS else "string" if path in STRINGS else "struct"
    known = _FIELDS["image" if path == "image" else kind]
    if path not in STRUCTS and path != "image" and "/" in path:
        known = known - {"presence", "shape"}
    used = {field.name for field, _ in feature.ListFields()} - _SILENT
    if odd := sorted(used - known):
        raise UserError(
            f"the schema says {odd[0]} of {path!r}, which is not checked",
            expected=", ".join(sorted(known)),
            where=where,
            fix=did_you_mean(odd[0], known),
        )
    for comparator in (feature.skew_comparator, feature.drift_comparator):
        if kind == "number" and comparator.HasField("infinity_norm"):
            raise UserError(
                f"the schema compares {path!r} by infinity_norm, but it is a number and has no shares",
                where=where,
                fix="use jensen_shannon_divergence",
            )
