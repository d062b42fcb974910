"""The stage that exports a model in other formats."""

from conveyor.components.artifacts import Blessing, Evaluation, Examples, Formats, Model, TransformGraph
from conveyor.components.exporter.settings import ExporterSettings
from conveyor.components.warm import TENSORFLOW
from conveyor.pipeline.stage import Context, In, Out, stage


@stage(warm=TENSORFLOW)
def exporter(
    examples: In[Examples],
    model: In[Model],
    transform_graph: In[TransformGraph],
    evaluation: In[Evaluation],
    blessing: In[Blessing],
    formats: Out[Formats],
    settings: ExporterSettings,
    context: Context,
) -> None:
    """Converts the model, measures each format as the SavedModel was, and keeps those that are as good."""
    del blessing  # its gate comes first
    from conveyor.components.exporter.measure import Exporter

    work = Exporter(examples, model, transform_graph, evaluation, settings)
    formats.files.mkdir()
    rows = [work.export(name, formats) for name in dict.fromkeys(settings.export.formats)]
    formats.write({"split": settings.judge.split, "max_drop": settings.export.max_drop, "formats": rows})
    for row in rows:
        if row["reason"]:
            context.note(f"{row['format']} is not published: {row['reason']}")
    for note in work.notes:
        context.note(note)
