"""Which candidate comes next: a function of the seed and of the candidates before it."""

import hashlib
import typing
from collections.abc import Sequence

from conveyor.components.tuner.settings import DimensionSettings, SweepSettings
from conveyor.components.tuner.space import Point, grid
from conveyor.pipeline.errors import UserError

_ATTEMPTS = 100  # to draw what was not drawn before
_DIGITS = 4  # of numbers: more say nothing, and are long to read


def suggest(sweep: SweepSettings, past: Sequence[tuple[Point, float | None]], seed: int) -> Point | None:
    """Returns the next point.

    Nothing is remembered between calls, so a sweep that was cut short goes on as if it had not been.

    Args:
        sweep: What varies, and how it is sampled.
        past: The points so far, with how good they are (the higher, the better); None for one that failed.
        seed: Of the random numbers.

    Returns:
        A point that is not among those so far; None where there is no other.

    Raises:
        UserError: Optuna is needed, and not installed.

    Source: Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011, section 4 (tpe).
    """
    tried = [point for point, _ in past]
    if sweep.sampler == "grid":
        return next((point for point in grid(sweep.space) if point not in tried), None)
    for attempt in range(_ATTEMPTS):
        point = _draw(sweep, past, _fold(seed, len(past), attempt))
        if point not in tried:
            return point
    return None


def load_optuna(sampler: str) -> typing.Any:
    """Returns Optuna.

    Raises:
        UserError: It is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError(
            f"sampler {sampler!r} needs Optuna, which is not installed",
            fix="pip install 'conveyor[tune]', or take sweep.sampler: grid",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _draw(sweep: SweepSettings, past: Sequence[tuple[Point, float | None]], seed: int) -> Point:
    optuna = load_optuna(sweep.sampler)
    spread = {key: _distribution(optuna, dimension) for key, dimension in sweep.space.items()}
    kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    study = optuna.create_study(sampler=kinds[sweep.sampler](seed=seed), direction="maximize")
    for point, score in past:
        state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.create_trial(state=state, value=score, params=dict(point), distributions=spread)
        )
    drawn = study.ask(spread).params
    return {key: _rounded(dimension, drawn[key]) for key, dimension in sweep.space.items()}


def _distribution(optuna: typing.Any, dimension: DimensionSettings) -> typing.Any:
    if dimension.choice is not None:
        return optuna.distributions.CategoricalDistribution(dimension.ends())
    low, high = dimension.ends()
    if dimension.integers:
        return optuna.distributions.IntDistribution(low, high)
    return optuna.distributions.FloatDistribution(low, high, log=dimension.log is not None)


def _rounded(dimension: DimensionSettings, drawn: float) -> float:
    if dimension.choice is not None or dimension.integers:
        return drawn
    low, high = dimension.ends()
    return min(max(float(f"{drawn:.{_DIGITS}g}"), low), high)


def _fold(*numbers: int) -> int:
    """Returns a seed below 2**32 that each of the numbers changes."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:4], "big")
