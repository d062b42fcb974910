"""The stage that says what examples must look like."""

import pathlib

from conveyor.components.artifacts import Schema, Statistics
from conveyor.components.schema_gen.settings import SchemaGenSettings
from conveyor.pipeline.fingerprint import fingerprint_files
from conveyor.pipeline.stage import Context, In, Out, stage


def _path(settings: SchemaGenSettings) -> pathlib.Path:
    return pathlib.Path(settings.file).expanduser().absolute()


def schema_fingerprint(settings: SchemaGenSettings, workspace: pathlib.Path) -> str:
    """Returns a digest of the content of the user's file; "" where there is none."""
    if not settings.file:
        return ""
    path = _path(settings)
    return fingerprint_files(str(path.parent), [path.name], workspace)


@stage(fingerprint=schema_fingerprint)
def schema_gen(
    statistics: In[Statistics], schema: Out[Schema], settings: SchemaGenSettings, context: Context
) -> None:
    """Infers what examples must look like from the training split, or takes it from the user's file."""
    del context
    from conveyor.components.schema_gen.infer import infer_schema
    from conveyor.components.schema_gen.text import parse_schema, read_text, to_text

    if settings.file:
        text = read_text(_path(settings))
        parse_schema(text, settings.file)  # for the check
    else:
        text = to_text(infer_schema(statistics.read()))
    schema.file.write_text(text, encoding="utf-8")
