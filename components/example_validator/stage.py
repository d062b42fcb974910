"""The stage that says what is wrong with the data, and stops the run if it is grave."""

from conveyor.components.artifacts import Anomalies, Examples, Schema, Statistics
from conveyor.components.example_validator.baseline import last_blessed
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.components.warm import BEAM
from conveyor.pipeline.stage import Context, In, Out, stage


@stage(warm=BEAM, baseline=last_blessed)
def example_validator(
    examples: In[Examples],
    statistics: In[Statistics],
    schema: In[Schema],
    anomalies: Out[Anomalies],
    settings: ExampleValidatorSettings,
    context: Context,
) -> None:
    """Checks data against schema, splits against each other and the last blessed run, and for leaks."""
    from conveyor.components.example_validator.validate import validate

    validate(examples, statistics, schema, context.baseline, anomalies, settings)
