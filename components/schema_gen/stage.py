"""The stage that says what examples must look like."""

from conveyor.components.artifacts import Schema, Statistics
from conveyor.components.schema_gen.settings import SchemaGenSettings
from conveyor.pipeline.stage import Context, In, Out, stage


@stage
def schema_gen(
    statistics: In[Statistics], schema: Out[Schema], settings: SchemaGenSettings, context: Context
) -> None:
    """Infers classes, formats and ranges from the training split."""
    del settings, context
    from conveyor.components.schema_gen.infer import infer_schema, to_text

    schema.file.write_text(to_text(infer_schema(statistics.read())), encoding="utf-8")
