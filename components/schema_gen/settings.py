"""Settings of schema_gen."""

from conveyor.pipeline.config import Settings


class SchemaGenSettings(Settings):
    """Where the schema comes from."""

    file: str = ""
    """A schema to check data against, such as an edited copy of an inferred one; "" to infer it.
    Set by `data.schema`."""
