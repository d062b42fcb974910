"""The stage that fits the preprocessing."""

from conveyor.components.artifacts import Anomalies, Examples, Statistics, TransformGraph
from conveyor.components.transform.settings import TransformSettings
from conveyor.components.warm import TENSORFLOW
from conveyor.pipeline.stage import Context, In, Out, stage


@stage(warm=TENSORFLOW)
def transform(
    examples: In[Examples],
    statistics: In[Statistics],
    anomalies: In[Anomalies],
    transform_graph: Out[TransformGraph],
    settings: TransformSettings,
    context: Context,
) -> None:
    """Fits the preprocessing on the training split's statistics and saves it as a graph."""
    del anomalies, context  # their gate comes first
    from conveyor.components.transform.fit import fit
    from conveyor.components.transform.graph import save

    document = fit(statistics.read(), examples.properties["channels"], settings)
    transform_graph.write(document)
    save(document, transform_graph.saved_model)
