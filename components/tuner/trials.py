"""Trains candidates, and judges each on the validation split alone."""

import dataclasses
import typing
from collections.abc import Callable, Sequence

from conveyor.components.artifacts import Evaluation
from conveyor.components.experiment import SUMMARY, Experiment, build_pipeline, find_config, load_experiment
from conveyor.components.tuner.settings import SweepSettings
from conveyor.components.tuner.space import Point, names, overrides
from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.errors import UserError, did_you_mean
from conveyor.pipeline.runners.local import LocalRunner, Result, StageReport
from conveyor.pipeline.workspace import Workspace

Report = Callable[[str, StageReport | None], None]

SPLIT = "validation"
_DATA_STAGES = "example_validator"
# Candidates are compared here, not blessed; intervals come with the comparison.
_JUDGE = [
    f"evaluator.split={SPLIT}",
    "evaluator.bless=null",
    "evaluator.against={}",
    "evaluator.slices=[]",
    "evaluator.bootstrap=0",
    "evaluator.gap=false",
    "evaluator.worst=0",
    "evaluator.hardest=0",
]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One point of the space, tried.

    Args:
        number: From 1, in the order of trial.
        point: Where in the space.
        settings: Key -> value, or the name of the choice.
        values: The metric on the validation split, for each seed; empty where training failed.
        parameters: Of the model.
        runs: Names of the runs, for each seed.
        evaluations: With the predictions, for each seed.
        error: Why training failed.
    """

    number: int
    point: Point
    settings: dict[str, typing.Any]
    values: list[float] = dataclasses.field(default_factory=list)
    parameters: int | None = None
    runs: list[str] = dataclasses.field(default_factory=list)
    evaluations: list[Evaluation] = dataclasses.field(default_factory=list)
    error: str = ""

    def row(self) -> dict[str, typing.Any]:
        """Returns what the ledger says of it."""
        shown = ("number", "settings", "values", "parameters", "runs", "error")
        return {name: getattr(self, name) for name in shown}


class Trials:
    """Runs the standard pipeline for one candidate after another, as far as the evaluator.

    Args:
        config: Path or shipped name of a config.
        overrides: "dotted.key=value" each, for all candidates.
        sweep: What varies.
        workspace: Where the runs are kept; what was run there before is not run again.
        tell: Called with a traceback where a stage fails for a reason that is not the user's.
    """

    def __init__(
        self,
        config: str,
        overrides: Sequence[str],
        sweep: SweepSettings,
        workspace: Workspace,
        tell: Callable[[str], None],
    ):
        self.config = config
        self.overrides = list(overrides)
        self.sweep = sweep
        self.workspace = workspace
        self._tell = tell
        # not the config's own name: a candidate is no baseline for the drift of later data
        self._name = f"{find_config(config).stem}.sweep"

    def load(self, more: Sequence[str]) -> Experiment:
        """Returns the config with more overrides."""
        return load_experiment(self.config, [*self.overrides, *_JUDGE, *more])

    def prepare(self, report: Report) -> Artifact:
        """Runs the stages on data, which all candidates share.

        Args:
            report: Called as by a run.

        Returns:
            The Examples.

        Raises:
            ConveyorError: The data cannot be used, or it has no validation split.
        """
        result = self._run([], _DATA_STAGES, report)
        if result.error:
            raise self._told(result)
        examples = result.outputs["example_gen"]["examples"]
        if not examples.properties["splits"].get(SPLIT):
            raise UserError(
                "a sweep chooses by the validation split, and the data has none",
                received=", ".join(examples.properties["splits"]),
                fix="-o 'data.splits={train: 0.7, validation: 0.1, test: 0.2}'",
            )
        return examples

    def train(self, number: int, point: Point, seeds: Sequence[int]) -> Candidate:
        """Trains and judges a candidate, once for each seed.

        Raises:
            ConveyorError: A stage failed for a reason that is not the candidate's.
        """
        candidate = Candidate(number, point, names(self.sweep.space, point))
        for seed in seeds:
            try:
                result = self._run([*overrides(self.sweep.space, point), f"seed={seed}"], "evaluator")
            except UserError as error:  # each value is valid, but not all of them together
                return dataclasses.replace(candidate, error=str(error))
            if result.error:
                failed = [stage.name for stage in result.stages if stage.status == "failed"]
                if failed != ["trainer"] or not isinstance(result.error, UserError):
                    raise self._told(result)
                return dataclasses.replace(candidate, values=[], error=str(result.error))
            candidate = self._judged(candidate, result)
        return candidate

    def _judged(self, candidate: Candidate, result: Result) -> Candidate:
        evaluation = typing.cast(Evaluation, result.outputs["evaluator"]["evaluation"])
        metrics, metric = evaluation.read()["metrics"], self.sweep.metric
        if metric not in metrics or metrics[metric]["value"] is None:
            raise UserError(
                f"sweep.metric: {metric!r} has no value on the validation split",
                fix=did_you_mean(metric, [name for name in metrics if metrics[name]["value"] is not None]),
            )
        return dataclasses.replace(
            candidate,
            values=[*candidate.values, metrics[metric]["value"]],
            parameters=result.outputs["trainer"]["model"].properties["parameters"],
            runs=[*candidate.runs, result.run],
            evaluations=[*candidate.evaluations, evaluation],
        )

    def _run(self, more: Sequence[str], until: str, report: Report = lambda *_: None) -> Result:
        experiment = self.load(more)
        pipeline = build_pipeline(experiment, self._name, self.workspace.root)
        settings = experiment.model_dump(mode="json", by_alias=True)
        runner = LocalRunner(self.workspace, report)
        return runner.run(pipeline, self._name, settings=settings, summary=SUMMARY, until=until)

    def _told(self, result: Result) -> Exception:
        if result.traceback:
            self._tell(result.traceback)
        return typing.cast(Exception, result.error)
