"""Chooses among candidates, and estimates by how much the best of them looks better than it is."""

import dataclasses
from collections.abc import Callable

import numpy as np

from conveyor.models.metrics.bootstrap import interval

Score = Callable[[int, np.ndarray], float]
"""(number of a candidate, int [m] places of examples) -> how good it is on them; NaN where undefined."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which candidate was chosen, and what its score is worth.

    Args:
        winner: Number of the best candidate; of equals, the first.
        scores: float [candidates], on all examples.
        intervals: The 95% interval of each score, over resampled examples.
        optimism: By how much the winner's score is expected to exceed what it has on new examples, for
            it was chosen by that score; at least 0.
    """

    winner: int
    scores: np.ndarray
    intervals: list[tuple[float | None, float | None]]
    optimism: float


def select(score: Score, candidates: int, examples: int, resamples: int, seed: int) -> Selection:
    """Chooses the candidate with the highest score, and corrects for having chosen.

    The choice is made again on each of many resamples of the examples, and what it costs is measured on
    the examples left out of the resample, which had no part in it. The mean score there, of whom each
    resample chose, is the corrected one: without bias where candidates do not differ, a little too low
    where they do, for a resample tells candidates apart less well than all examples do. The winner's own
    scores on the same examples are subtracted from it, and its score on all added: in the mean that is
    nothing, and it takes the noise out (so there is no optimism where there is no choice).

    Args:
        score: Scores a candidate.
        candidates: How many there are.
        examples: How many examples there are.
        resamples: How many times the choice is made again.
        seed: Of the random numbers.

    Source: Tsamardinos, Greasidou, Borboudakis, "Bootstrapping the out-of-sample predictions for
    efficient and accurate cross-validation", Machine Learning 107, 2018, algorithm 5 (BBC).
    """
    everything = np.arange(examples)
    scores = np.array([score(number, everything) for number in range(candidates)])
    winner = int(np.argmax(_defined(scores)))
    generator = np.random.default_rng(seed)
    drawn_scores = np.empty((resamples, candidates))
    losses = []
    for number in range(resamples):
        drawn = generator.integers(0, examples, examples)
        drawn_scores[number] = [score(candidate, drawn) for candidate in range(candidates)]
        chosen = int(np.argmax(_defined(drawn_scores[number])))
        left = np.setdiff1d(everything, drawn)
        same = chosen == winner or not len(left)
        losses.append(0.0 if same else score(winner, left) - score(chosen, left))
    known = np.array(losses)[np.isfinite(losses)]
    optimism = max(float(known.mean()), 0.0) if len(known) else 0.0
    return Selection(winner, scores, [interval(column) for column in drawn_scores.T], optimism)


def _defined(scores: np.ndarray) -> np.ndarray:
    """Returns scores of which those that are undefined are the worst."""
    return np.where(np.isnan(scores), -np.inf, scores)
