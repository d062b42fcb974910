"""A pipeline of the standard one's shape, whose models answer at random as well as their dropout says."""

import json
import os
import pathlib

import numpy as np

from conveyor.components.artifacts import Anomalies, Blessing, Evaluation, Examples, Model
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.components.trainer.settings import TrainerSettings
from conveyor.pipeline.config import Settings
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context, In, Out, stage

SPLITS = {"train": 10, "validation": 300, "test": 300}


class ToySettings(Settings):
    splits: dict[str, int] = SPLITS


def note(context: Context, what: str) -> None:
    """Writes down that a stage really ran."""
    with (context.workspace / "ran.txt").open("a") as file:
        file.write(what + "\n")


@stage
def example_gen(examples: Out[Examples], settings: ToySettings, context: Context) -> None:
    note(context, "example_gen")
    examples.properties |= {"splits": settings.splits, "classes": ["no", "yes"]}


@stage
def example_validator(
    examples: In[Examples], anomalies: Out[Anomalies], settings: Settings, context: Context
) -> None:
    anomalies.write([])


@stage
def trainer(examples: In[Examples], model: Out[Model], settings: TrainerSettings, context: Context) -> None:
    note(context, f"trainer {settings.model.dropout} {settings.seed}")
    if settings.model.dropout > 0.8:
        raise UserError("training diverged: loss became nan")
    if settings.model.dropout == 0.75:
        raise RuntimeError("a bug")
    if os.environ.get("TOY_INTERRUPT") == str(settings.model.dropout):
        raise KeyboardInterrupt
    context.look("validation", "choose")
    # right more often with less dropout
    share = 0.9 - 0.5 * settings.model.dropout
    model.properties |= {"parameters": 1000, "share": share, "seed": settings.seed}
    (model.path / "model.txt").write_text(f"{share} {settings.seed}")


@stage
def evaluator(
    examples: In[Examples],
    model: In[Model],
    evaluation: Out[Evaluation],
    blessing: Out[Blessing],
    settings: EvaluatorSettings,
    context: Context,
) -> None:
    split = settings.judge.split
    note(context, f"evaluator {split}")
    count = examples.properties["splits"][split]
    generator = np.random.default_rng([len(split), model.properties["seed"]])
    right = generator.random(count) < model.properties["share"]
    truth = np.arange(count) % 2
    answers = np.eye(2)[np.where(right, truth, 1 - truth)]
    ids = np.array([f"{number}.png" for number in range(count)])
    np.savez(evaluation.predictions_file, ids=ids, targets=truth, probabilities=answers)
    context.look(split, "report")
    metrics = {"accuracy": {"value": float(right.mean()), "low": None, "high": None}}
    metrics["error"] = {**metrics["accuracy"], "value": 1 - metrics["accuracy"]["value"]}
    metrics["ece"] = {**metrics["error"]}
    metrics["average_precision_macro"] = {"value": None, "low": None, "high": None}
    evaluation.write({"split": split, "metrics": metrics})
    evaluation.properties["summary"] = {"metrics": metrics}
    blessed = all(metrics["accuracy"]["value"] >= check.at_least for check in settings.judge.bless)
    blessing.write({"blessed": blessed, "checks": []})
    if not blessed:
        blessing.close_gate("the model is not blessed")


def build_pipeline(experiment, name, workspace) -> Pipeline:
    """Stands in for conveyor.components.experiment.build_pipeline."""
    task, seed = experiment.task, experiment.seed
    splits = {split: count for split, count in SPLITS.items() if getattr(experiment.data.splits, split)}
    training = TrainerSettings(task=task, model=experiment.model, fit=experiment.trainer, seed=seed)
    return Pipeline(
        [
            Node(example_gen, ToySettings(splits=splits)),
            Node(example_validator),
            Node(trainer, training),
            Node(evaluator, EvaluatorSettings(task=task, judge=experiment.evaluator, seed=seed)),
        ]
    )


def ran(workspace: pathlib.Path) -> list[str]:
    """Returns what really ran in a workspace, in order."""
    return (workspace / "ran.txt").read_text().splitlines()


def ledger(document: dict) -> list[dict]:
    """Returns the rows of a sweep's ledger."""
    return [json.loads(line) for line in pathlib.Path(document["ledger"]).read_text().splitlines()]
