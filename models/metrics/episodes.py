"""Few-shot accuracy over episodes."""

import math

import numpy as np
import scipy.special

from conveyor.models.metrics.proportions import Interval

_TAIL = 0.975


def episode_accuracy(accuracies: np.ndarray) -> tuple[float, float | None]:
    """Returns the mean accuracy over episodes, and the half width of its 95% interval.

    Episodes are the units, not their queries: those of one episode share classes and support images.

    Args:
        accuracies: float [episodes], the share of right answers among the queries of each, in [0, 1].

    Returns:
        The mean, and Student's quantile times its standard error; None for a single episode.

    Raises:
        ValueError: There is no episode, or a value is no share.

    Source: Vinyals et al., "Matching Networks for One Shot Learning", NeurIPS 2016, section 4 (accuracy
    over random episodes); Student, "The probable error of a mean", Biometrika 6(1), 1908.
    """
    values = np.asarray(accuracies, np.float64)
    if values.ndim != 1 or not len(values) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"expected accuracies in [0, 1], one an episode. Received: {values!r}")
    count = len(values)
    if count < 2:
        return float(values.mean()), None
    error = float(values.std(ddof=1)) / math.sqrt(count)
    return float(values.mean()), float(scipy.special.stdtrit(count - 1, _TAIL)) * error


def episode_interval(accuracies: np.ndarray) -> Interval:
    """Returns the ends of that interval, cut to [0, 1]; (None, None) for a single episode."""
    mean, half = episode_accuracy(accuracies)
    return (None, None) if half is None else (max(0.0, mean - half), min(1.0, mean + half))
