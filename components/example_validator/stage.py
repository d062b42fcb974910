"""The stage that says what is wrong with the data, and stops the run if it is grave."""

from conveyor.components.artifacts import Anomalies, Examples, Schema, Statistics
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.pipeline.stage import Context, In, Out, stage


@stage
def example_validator(
    examples: In[Examples],
    statistics: In[Statistics],
    schema: In[Schema],
    anomalies: Out[Anomalies],
    settings: ExampleValidatorSettings,
    context: Context,
) -> None:
    """Checks the data against its schema; closes the gate on anomalies of severity "error"."""
    del context
    from conveyor.components.example_validator.checks import find_anomalies
    from conveyor.components.schema_gen.infer import read_schema

    found = find_anomalies(
        statistics.read(),
        read_schema(schema.file),
        examples.quarantine(),
        examples.properties["read"],
        settings,
    )
    anomalies.write(found)
    anomalies.properties["summary"] = {"anomalies": len(found)}
    errors = [anomaly for anomaly in found if anomaly["severity"] == "error"]
    if errors:
        anomalies.close_gate(
            "the data did not pass: " + "; ".join(anomaly["long"] for anomaly in errors),
            "mend the data, or change the limit in the config if you mean it",
        )
