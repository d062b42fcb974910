"""The stage that publishes a blessed and proved model."""

from collections.abc import Mapping

from conveyor.components.artifacts import (
    Blessing,
    Evaluation,
    Examples,
    Formats,
    InfraBlessing,
    Model,
    PushedModel,
)
from conveyor.components.pusher.settings import PusherSettings
from conveyor.components.warm import TENSORFLOW
from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.stage import Context, In, Out, stage


def still_pushed(_settings: PusherSettings, outputs: Mapping[str, Artifact]) -> bool:
    """Whether the version that was pushed is still the newest where it was pushed to."""
    from conveyor.components.pusher.push import serves

    document = PushedModel.read(outputs["pushed"])  # type: ignore[arg-type]
    return serves(document["destination"], document["model"])


@stage(warm=TENSORFLOW, still_holds=still_pushed)
def pusher(
    examples: In[Examples],
    model: In[Model],
    evaluation: In[Evaluation],
    blessing: In[Blessing],
    infra_blessing: In[InfraBlessing],
    formats: In[Formats] | None,
    pushed: Out[PushedModel],
    settings: PusherSettings,
    context: Context,
) -> None:
    """Copies the SavedModel and its other formats to the next version of a serving folder, or nothing."""
    from conveyor.components.pusher.golden import compare_with_newest
    from conveyor.components.pusher.push import describe, push

    split = evaluation.read()["split"]
    against = compare_with_newest(model, settings.to, examples, split, settings.golden)
    if against:
        context.note(describe(against))
    lineage = _lineage(context, blessing, infra_blessing)
    document = push(model, settings.to, lineage, settings.keep, formats)
    pushed.write({**document, "against": against})
    pushed.properties["summary"] = {"pushed": document["destination"]}


def _lineage(context: Context, blessing: Blessing, infra_blessing: InfraBlessing) -> dict[str, object]:
    return {
        "run": context.run,
        "blessing": blessing.read(),
        "metrics": infra_blessing.read()["metrics"],
        "stages": {record["stage"]: record["outputs"] for record in context.lineage},
    }
