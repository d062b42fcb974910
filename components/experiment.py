"""The experiment config, and the standard pipeline wired from it."""

import os
import pathlib
import typing
from collections.abc import Callable, Sequence

import pydantic

from conveyor.components.backbone import backbone_reference, resolve_backbone
from conveyor.components.evaluator.settings import EvaluatorSettings, JudgeSettings
from conveyor.components.evaluator.stage import evaluator
from conveyor.components.example_gen.settings import ExampleGenSettings, SourceSettings
from conveyor.components.example_gen.stage import example_gen
from conveyor.components.example_validator.settings import ChecksSettings, ExampleValidatorSettings, Severity
from conveyor.components.example_validator.stage import example_validator
from conveyor.components.exporter.settings import Export, ExporterSettings, ExportSettings
from conveyor.components.exporter.stage import exporter
from conveyor.components.infra_validator.settings import InfraValidatorSettings, ProofSettings
from conveyor.components.infra_validator.stage import infra_validator
from conveyor.components.model_card.settings import ModelCardSettings, PageSettings
from conveyor.components.model_card.stage import model_card
from conveyor.components.pusher.settings import PusherSettings
from conveyor.components.pusher.stage import pusher
from conveyor.components.schema_gen.settings import SchemaGenSettings
from conveyor.components.schema_gen.stage import schema_gen
from conveyor.components.statistics_gen.settings import StatisticsGenSettings
from conveyor.components.statistics_gen.stage import statistics_gen
from conveyor.components.trainer.settings import FitSettings, TrainerSettings
from conveyor.components.trainer.stage import trainer
from conveyor.components.transform.settings import TransformSettings
from conveyor.components.transform.stage import transform
from conveyor.components.tuner.settings import SweepSettings
from conveyor.models.families import FamilySettings, families
from conveyor.models.settings import AugmentationSettings
from conveyor.models.tasks.settings import ClassificationSettings, TaskSettings
from conveyor.pipeline.config import Settings, load_config
from conveyor.pipeline.dag import Node, Pipeline
from conveyor.pipeline.errors import UserError, did_you_mean
from conveyor.pipeline.runners.local import LocalRunner, Result, StageReport
from conveyor.pipeline.workspace import Workspace

DEFAULT_WORKSPACE = "workspace"


class DataSettings(SourceSettings):
    """The data: where it comes from, what it must be like, and what is looked for in it."""

    schema_: str = pydantic.Field("", alias="schema")
    """A schema to check the data against: a file like the `schema.pbtxt` of an earlier run, edited and
    kept with the config; "" to infer one from the training split."""
    leaks: Severity | typing.Literal["resplit"] = "error"
    """What to do about the same image, or the same `group`, in two splits: stop, tell, do not look, or
    move whole groups of them into one split."""
    label_errors: bool = False
    """Look for labels, boxes and masks that are probably wrong."""


class Experiment(Settings):
    """Everything a run depends on; what a YAML config holds."""

    data: DataSettings
    task: TaskSettings = ClassificationSettings()
    statistics: StatisticsGenSettings = StatisticsGenSettings()
    validator: ChecksSettings = ChecksSettings()
    transform: TransformSettings = TransformSettings()
    model: FamilySettings | None = None
    """What to train. Without it a run checks the data, whatever its kind, and ends with the card."""
    augment: AugmentationSettings = []
    """Keras's random layers in order, each a name and its arguments, such as
    {random_translation: {height_factor: 0.1, width_factor: 0.1}}. For training only."""
    trainer: FitSettings = FitSettings()
    evaluator: JudgeSettings = JudgeSettings()
    export: Export = ExportSettings()
    """Other formats: a list such as [litert, onnx], or with limits."""
    infra_validator: ProofSettings = ProofSettings()
    pusher: PusherSettings = PusherSettings()
    model_card: PageSettings = PageSettings()
    sweep: SweepSettings | None = None
    """What `conveyor sweep` varies."""
    seed: int = pydantic.Field(0, ge=0, lt=2**32)
    """Of initial weights, shuffling, dropout and resampling."""


# What a summary says before any stage has added to it.
SUMMARY: dict[str, typing.Any] = {
    "metrics": {},
    "quarantined": 0,
    "anomalies": 0,
    "blessed": None,
    "pushed": None,
    "model_card": None,
}


def find_config(config: str) -> pathlib.Path:
    """Returns the file of a config given by path or by shipped name.

    Raises:
        UserError: Neither exists; with close matches.
    """
    path = pathlib.Path(config)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    if config in shipped_configs():
        return shipped_configs()[config]
    raise UserError(
        f"there is no config {config!r}",
        expected="the path of a .yaml file, or the name of a shipped config",
        fix=did_you_mean(config, shipped_configs()),
    )


def shipped_configs() -> dict[str, pathlib.Path]:
    """Returns name -> file of the configs that come with the package."""
    import conveyor.configs

    folder = pathlib.Path(next(iter(conveyor.configs.__path__)))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_experiment(config: str, overrides: Sequence[str] = ()) -> Experiment:
    """Reads a config by path or shipped name, with "dotted.key=value" overrides.

    Raises:
        UserError: There is no such config, or something in it is wrong.
    """
    path = find_config(config)
    experiment = load_config(path, Experiment, overrides)
    _check_fit(experiment, str(path))
    return experiment


def _check_fit(experiment: Experiment, where: str) -> None:
    """Checks what is right by itself but does not go together."""
    model, kind = experiment.model, experiment.task.kind
    if model and kind not in model.tasks:
        raise UserError(
            f"model.family {model.family!r} is not for task.kind {kind!r}",
            expected=f"for {kind}: {', '.join(families(kind))}",
            received=f"a family for {', '.join(model.tasks)}",
            where=where,
        )
    if experiment.export.formats and not (experiment.evaluator.bless and experiment.evaluator.bootstrap):
        raise UserError(
            "export.formats needs a check in evaluator.bless, whose metric it compares, and resamples",
            received=", ".join(experiment.export.formats),
            where=where,
            fix="evaluator.bless={metric: accuracy, at_least: 0.9}, or another metric",
        )
    if model and experiment.task.unit_range and experiment.transform.normalize != "rescale":
        raise UserError(
            f"task.kind {kind!r} needs pixels in [0, 1]",
            expected="transform.normalize: rescale",
            received=experiment.transform.normalize,
            where=where,
        )
    if experiment.trainer.foreground and experiment.transform.resize != "none":
        raise UserError(
            "trainer.foreground is for training windows",
            expected="transform.resize: none",
            received=experiment.transform.resize,
            where=where,
        )


def build_pipeline(experiment: Experiment, name: str, workspace: pathlib.Path) -> Pipeline:
    """Wires the standard pipeline.

    Args:
        experiment: The settings.
        name: Name of the config, for {name} in `pusher.to`.
        workspace: Root of the workspace, for {workspace} in `pusher.to` and for backbones of earlier runs.

    Raises:
        UserError: The model names a backbone that is not there.
    """
    values = experiment.model_dump(mode="json", by_alias=True)
    page = {**values["model_card"], "title": experiment.model_card.title or name, "config": values}
    card = Node(model_card, ModelCardSettings(**page, data_only=experiment.model is None))
    destination = experiment.pusher.to.replace("{workspace}", str(workspace)).replace("{name}", name)
    nodes = _data_nodes(experiment)
    if experiment.model is not None:
        model = resolve_backbone(experiment.model, experiment.transform.normalize, workspace)
        nodes += _model_nodes(experiment, model, destination)
    return Pipeline([*nodes, card])


def _data_nodes(experiment: Experiment) -> list[Node]:
    data = experiment.data
    source = data.model_dump(include=set(SourceSettings.model_fields))
    checks = ExampleValidatorSettings(
        **experiment.validator.model_dump(),
        max_quarantine=data.max_quarantine,
        leaks="error" if data.leaks == "resplit" else data.leaks,
        label_errors=data.label_errors,
        needs=list(experiment.task.needs) if experiment.model else [],
    )
    return [
        Node(example_gen, ExampleGenSettings(**source, resplit=data.leaks == "resplit")),
        Node(statistics_gen, experiment.statistics),
        Node(schema_gen, SchemaGenSettings(file=data.schema_)),
        Node(example_validator, checks),
    ]


def _model_nodes(experiment: Experiment, model: FamilySettings, destination: str) -> list[Node]:
    task, seed = experiment.task, experiment.seed
    training = TrainerSettings(
        task=task, model=model, augment=experiment.augment, fit=experiment.trainer, seed=seed
    )
    judge = experiment.evaluator
    export = ExporterSettings(task=task, judge=judge, export=experiment.export, seed=seed)
    return [
        Node(transform, experiment.transform),
        Node(trainer, training, references=backbone_reference(model)),
        Node(evaluator, EvaluatorSettings(task=task, judge=judge, seed=seed)),
        *([Node(exporter, export)] if experiment.export.formats else []),
        Node(infra_validator, InfraValidatorSettings(task=task, proof=experiment.infra_validator)),
        Node(pusher, experiment.pusher.model_copy(update={"to": destination})),
    ]


def run(
    config: str,
    overrides: Sequence[str] = (),
    *,
    workspace: str | os.PathLike[str] = DEFAULT_WORKSPACE,
    until: str | None = None,
    start: str | None = None,
    report: Callable[[str, StageReport | None], None] = lambda _name, _report: None,
) -> Result:
    """Runs an experiment on this machine.

    Args:
        config: Path or shipped name of a config.
        overrides: "dotted.key=value" each.
        workspace: Directory for artifacts, metadata and summaries.
        until: Last stage to run.
        start: This stage and what depends on it run even if their results are cached.
        report: Called with (stage name, None) when a stage starts and with its report when it ends.

    Returns:
        The result; `result.error` says why a run stopped early.

    Raises:
        UserError: Config, workspace or a stage name is wrong.
    """
    experiment = load_experiment(config, overrides)
    space = Workspace(workspace)
    name = find_config(config).stem
    pipeline = build_pipeline(experiment, name, space.root)
    return LocalRunner(space, report).run(
        pipeline,
        name,
        settings=experiment.model_dump(mode="json", by_alias=True),
        summary=SUMMARY,
        until=until,
        start=start,
    )
