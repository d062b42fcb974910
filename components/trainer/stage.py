"""The stage that trains and exports."""

from conveyor.components.artifacts import Examples, Model, TransformGraph
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.components.warm import TENSORFLOW
from conveyor.pipeline.stage import Context, In, Out, stage


@stage(warm=TENSORFLOW)
def trainer(
    examples: In[Examples],
    transform_graph: In[TransformGraph],
    model: Out[Model],
    settings: TrainerSettings,
    context: Context,
) -> None:
    """Trains a model on the training split and exports it with its preprocessing inside."""
    from conveyor.components.trainer.export import export
    from conveyor.components.trainer.fit import fit
    from conveyor.components.trainer.pictures import draw
    from conveyor.components.trainer.plots import write_plots

    fitted = fit(examples, transform_graph, settings, context)
    export(fitted, transform_graph, model)
    write_plots(model, draw(fitted, examples, transform_graph, settings, model))
