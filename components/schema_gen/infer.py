"""A tensorflow_metadata schema from statistics, and back from its text."""

import pathlib
import typing

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from conveyor.pipeline.errors import UserError

_DOMAINS = {"label": "classes", "format": "formats", "mode": "modes"}
_RANGES = ("width", "height")


def infer_schema(statistics: dict[str, typing.Any]) -> schema_pb2.Schema:
    """Returns the schema of a statistics document.

    Classes, formats and modes are those of the training split (or of the first, if there is none
    of that name), ranges of width and height too.
    """
    seen = statistics.get("train") or next(iter(statistics.values()))
    schema = schema_pb2.Schema()
    image = schema.feature.add(name="image", type="BYTES")
    image.image_domain.SetInParent()
    for name, key in _DOMAINS.items():
        feature = schema.feature.add(name=name, type="BYTES", domain=name)
        feature.presence.min_fraction = 1.0
        domain = schema.string_domain.add(name=name)
        domain.value.extend(value for value, count in seen[key].items() if count)
    for name in _RANGES:
        feature = schema.feature.add(name=name, type="INT")
        feature.presence.min_fraction = 1.0
        feature.int_domain.min, feature.int_domain.max = int(seen[name]["min"]), int(seen[name]["max"])
    return schema


def to_text(schema: schema_pb2.Schema) -> str:
    """Returns the schema as a text proto."""
    return text_format.MessageToString(schema)


def read_schema(path: pathlib.Path) -> schema_pb2.Schema:
    """Reads a text proto.

    Raises:
        UserError: It is no schema; with the line.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except text_format.ParseError as error:
        raise UserError(f"the schema cannot be parsed: {error}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise UserError(f"the schema is no text in UTF-8: {error}", where=str(path)) from None
