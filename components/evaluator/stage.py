"""The stage that judges the exported model."""

from conveyor.components.artifacts import Blessing, Evaluation, Examples, Model
from conveyor.components.evaluator.baseline import last_blessed
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.components.warm import TENSORFLOW
from conveyor.pipeline.stage import Context, In, Out, stage


@stage(warm=TENSORFLOW, baseline=last_blessed)
def evaluator(
    examples: In[Examples],
    model: In[Model],
    evaluation: Out[Evaluation],
    blessing: Out[Blessing],
    settings: EvaluatorSettings,
    context: Context,
) -> None:
    """Measures the exported SavedModel on the bytes of a held-out split, with 95% intervals.

    Blesses it if it passes the checks and, where asked, is better than the last blessed model.
    """
    from conveyor.components.evaluator.bless import bless
    from conveyor.components.evaluator.judge import judge

    document = judge(examples, model.saved_model, settings, evaluation, context.scratch)
    for split in dict.fromkeys((settings.judge.split, *document["gap"])):
        context.look(split, "report")
    evaluation.write(document)
    evaluation.properties["summary"] = {"metrics": document["metrics"]}
    bless(evaluation, examples, settings, context.baseline, blessing)
