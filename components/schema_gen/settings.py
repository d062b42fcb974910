"""Settings of schema_gen."""

from conveyor.pipeline.config import Settings


class SchemaGenSettings(Settings):
    """How the schema is inferred."""
