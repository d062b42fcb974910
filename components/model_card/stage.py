"""The stage that reports on a run."""

from conveyor.components.artifacts import (
    Anomalies,
    Blessing,
    Evaluation,
    Examples,
    Formats,
    InfraBlessing,
    Model,
    ModelCard,
    PushedModel,
    Statistics,
    TransformGraph,
)
from conveyor.components.model_card.settings import ModelCardSettings
from conveyor.pipeline.stage import Context, In, Out, stage


@stage(after_gate=True)
def model_card(
    examples: In[Examples],
    statistics: In[Statistics] | None,
    anomalies: In[Anomalies] | None,
    transform_graph: In[TransformGraph] | None,
    model: In[Model] | None,
    evaluation: In[Evaluation] | None,
    blessing: In[Blessing] | None,
    infra_blessing: In[InfraBlessing] | None,
    pushed: In[PushedModel] | None,
    formats: In[Formats] | None,
    card: Out[ModelCard],
    settings: ModelCardSettings,
    context: Context,
) -> None:
    """Writes the model card: one HTML file that needs nothing else, also of a run that a gate stopped."""
    from conveyor.components.model_card.page import render
    from conveyor.components.model_card.results import Results

    results = Results(
        examples,
        statistics,
        anomalies,
        transform_graph,
        model,
        evaluation,
        blessing,
        infra_blessing,
        pushed,
        formats,
    )
    # a file name need not be valid text, and is shown with what could not be read of it
    card.file.write_text(render(results, settings, context), encoding="utf-8", errors="backslashreplace")
    card.properties["summary"] = {"model_card": "{path}/model_card.html"}
