"""The stage that proves the exported model on raw bytes."""

from conveyor.components.artifacts import Blessing, Evaluation, Examples, InfraBlessing, Model
from conveyor.components.infra_validator.settings import InfraValidatorSettings
from conveyor.components.warm import TENSORFLOW
from conveyor.pipeline.stage import Context, In, Out, stage


@stage(warm=TENSORFLOW)
def infra_validator(
    examples: In[Examples],
    model: In[Model],
    evaluation: In[Evaluation],
    blessing: In[Blessing],
    infra_blessing: Out[InfraBlessing],
    settings: InfraValidatorSettings,
    context: Context,
) -> None:
    """Serves the SavedModel in a fresh process and compares its answers with the evaluated ones."""
    del blessing  # its gate comes first
    from conveyor.components.infra_validator.prove import prove

    proof = prove(examples, model.saved_model, evaluation, settings, context.pristine)
    document = proof.document
    infra_blessing.write(document)
    if proof.figures:
        context.note(proof.figures)
    if not document["blessed"]:
        infra_blessing.close_gate(
            f"what is served is not what was evaluated: {document['reason']}",
            "export again; if the machine differs, set infra_validator.tolerance",
        )
