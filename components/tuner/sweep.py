"""`conveyor sweep`: tries settings, chooses by the validation split, looks at the test split once."""

import json
import os
import typing
from collections.abc import Callable, Sequence

from conveyor.components import experiment as experiments
from conveyor.components.tasks import task_for
from conveyor.components.tuner.ledger import Ledger, models_seen, sweep_name
from conveyor.components.tuner.settings import SweepSettings
from conveyor.components.tuner.space import add_dimensions, check_space, fragment, grid, overrides
from conveyor.components.tuner.suggest import load_optuna, suggest
from conveyor.components.tuner.trials import SPLIT, Candidate, Report, Trials
from conveyor.pipeline.artifacts import Artifact
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.workspace import Workspace

DEFAULT_TRIALS = 20
_Document = dict[str, typing.Any]


def sweep(
    config: str,
    given: Sequence[str] = (),
    dimensions: Sequence[str] = (),
    *,
    workspace: str | os.PathLike[str] = experiments.DEFAULT_WORKSPACE,
    trials: int | None = None,
    test: bool = True,
    tell: Callable[[str], None] = lambda _text: None,
    report: Report = lambda _name, _report: None,
) -> _Document:
    """Tries candidates, and runs the config with the settings of the best.

    Args:
        config: Path or shipped name of a config.
        given: Overrides for all candidates, "dotted.key=value" each.
        dimensions: "dotted.key=distribution" each, besides those of the config's section `sweep`.
        workspace: Directory for artifacts, metadata and the ledger.
        trials: How many candidates; what the config says unless told.
        test: Whether the winner is run to the end, which looks at the test split.
        tell: Called with a line for each candidate.
        report: Called as by a run, while data are prepared and the winner is run to the end.

    Returns:
        `sweep` (name), `config`, `metric`, `goal`, `candidates` (rows of the ledger, with `value`, `low`
        and `high`), `winner` (see `_winner`), `models_seen`, `ledger` (path), and `test`: None, or
        `split`, `looks_before`, and `summary` of the run.

    Raises:
        ConveyorError: Config or space is wrong, the data cannot be used, or no candidate could be trained.
    """
    base = experiments.load_experiment(config, given)
    how = add_dimensions(base.sweep or SweepSettings(), dimensions)
    space = Workspace(workspace)
    runs = Trials(config, given, how, space, tell)
    _check(base, how, runs, test)
    examples = runs.prepare(report)
    name = experiments.find_config(config).stem
    ledger = Ledger(space.root, sweep_name(name, base, how))
    candidates = _try_all(runs, how, trials or how.trials, base.seed, ledger, tell)
    document = {
        "sweep": ledger.folder.name,
        "config": name,
        "metric": how.metric,
        "goal": how.goal,
        **_choose(candidates, how, base, examples, runs),
        "models_seen": models_seen(space.store, examples.digest),
        "ledger": str(ledger.folder / "ledger.jsonl"),
        "test": None,
    }
    ledger.finish(document)
    if test:
        made = [*document["winner"]["overrides"], _told(document)]
        document["test"] = _test(config, [*given, *made], space, examples, report)
        ledger.finish(document)
    return document


def _check(base: experiments.Experiment, how: SweepSettings, runs: Trials, test: bool) -> None:
    if base.model is None:
        raise UserError("the config has no model to train", fix="add a section `model`")
    if test and base.evaluator.split == SPLIT:
        raise UserError(
            f"evaluator.split is {SPLIT!r}, by which a sweep chooses: it says nothing more of the winner",
            fix="name another split, or keep to choosing by --no-test",
        )
    check_space(how, runs.load)
    if how.sampler != "grid":
        load_optuna(how.sampler)


def _try_all(
    runs: Trials,
    how: SweepSettings,
    trials: int | None,
    seed: int,
    ledger: Ledger,
    tell: Callable[[str], None],
) -> list[Candidate]:
    wanted = trials or (len(grid(how.space)) if how.sampler == "grid" else DEFAULT_TRIALS)
    seeds = [(seed + number) % 2**32 for number in range(how.seeds)]
    sign = 1 if how.goal == "maximize" else -1
    tried: list[Candidate] = []
    while len(tried) < wanted:
        past = [(one.point, sign * mean if (mean := _mean(one)) is not None else None) for one in tried]
        point = suggest(how, past, seed)
        if point is None:
            tell(f"there are only {len(tried)} candidates")
            break
        tried.append(runs.train(len(tried) + 1, point, seeds))
        ledger.write(tried)
        tell(f"candidate {len(tried)} of {wanted}: {_line(tried[-1], how.metric)}")
    return tried


def _line(candidate: Candidate, metric: str) -> str:
    """Returns a line on a candidate."""
    mean = _mean(candidate)
    result = f"{metric} {mean:.4f}" if mean is not None else candidate.error.partition("\n")[0]
    return f"{result}  {', '.join(f'{key} {value}' for key, value in candidate.settings.items())}"


def _mean(candidate: Candidate) -> float | None:
    return sum(candidate.values) / len(candidate.values) if candidate.values else None


def _choose(
    candidates: list[Candidate],
    how: SweepSettings,
    base: experiments.Experiment,
    examples: Artifact,
    runs: Trials,
) -> _Document:
    """Returns rows of all candidates, and the winner."""
    judged = [candidate for candidate in candidates if candidate.values]
    if not judged:
        raise UserError("no candidate could be trained", received=candidates[0].error)
    from conveyor.components.tuner.compare import compare

    task = task_for(base.task, examples)
    sign = 1 if how.goal == "maximize" else -1
    selection = compare([one.evaluations for one in judged], task, how.metric, sign, how.resamples, base.seed)
    found = {}
    for place, one in enumerate(judged):
        low, high = (None if end is None else sign * end for end in selection.intervals[place][::sign])
        found[one.number] = {"value": float(sign * selection.scores[place]), "low": low, "high": high}
    nothing = {"value": None, "low": None, "high": None}
    best = judged[selection.winner]
    made = overrides(how.space, best.point)
    settings = runs.load(made).model_dump(mode="json", by_alias=True)
    value = float(sign * selection.scores[selection.winner])
    winner = {
        "number": best.number,
        "settings": best.settings,
        **found[best.number],
        "optimism": selection.optimism,
        "corrected": value - sign * selection.optimism,
        "overrides": made,
        "yaml": fragment(how.space, best.point, settings),
    }
    rows = [{**one.row(), **found.get(one.number, nothing)} for one in candidates]
    return {"candidates": rows, "winner": winner}


def _told(document: _Document) -> str:
    """Returns an override by which the card tells of the choice."""
    winner = {name: document["winner"][name] for name in ("value", "optimism", "corrected")}
    names = {"sweep": document["sweep"], "metric": document["metric"], "split": SPLIT}
    count = sum(row["value"] is not None for row in document["candidates"])
    return f"model_card.chosen={json.dumps({**names, 'candidates': count, **winner})}"


def _test(
    config: str,
    given: Sequence[str],
    space: Workspace,
    examples: Artifact,
    report: Report,
) -> _Document:
    """Runs the winner to the end; returns how often others had looked at the split before."""
    split = experiments.load_experiment(config, given).evaluator.split
    before = space.store.looks(examples.digest, split, "report")
    result = experiments.run(config, given, workspace=space.root, report=report)
    looked = space.store.looks(examples.digest, split, "report") > before
    own = 0 if looked else 1  # it was looked at for this very model, and is not again
    summary = result.summary | ({"traceback": result.traceback} if result.traceback else {})
    return {"split": split, "looks_before": max(before - own, 0), "summary": summary}
