"""The stage that counts and measures."""

from conveyor.components.artifacts import Examples, Statistics
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.warm import BEAM
from conveyor.pipeline.stage import Context, In, Out, stage


@stage(warm=BEAM)
def statistics_gen(
    examples: In[Examples],
    statistics: Out[Statistics],
    settings: StatisticsGenSettings,
    context: Context,
) -> None:
    """Computes per-split statistics of images, labels, boxes and masks from the facts beside the examples."""
    from conveyor.components.statistics_gen.compute import compute_statistics
    from conveyor.components.statistics_gen.messages import to_proto

    document = compute_statistics(examples, settings, context.scratch)
    statistics.write(document)
    statistics.proto_file.write_bytes(to_proto(document).SerializeToString(deterministic=True))
