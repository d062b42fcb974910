"""The contest of a model with the last blessed one, on all examples and on slices of them."""

import typing

import numpy as np

from conveyor.components.artifacts import Evaluation, Examples
from conveyor.components.evaluator.compare import Gain, find_gain, find_verdict, holm
from conveyor.components.evaluator.settings import EvaluatorSettings
from conveyor.components.evaluator.slices import cut
from conveyor.components.evaluator.units import find_groups
from conveyor.components.tasks import task_for
from conveyor.models.metrics.weighted import Sample, sample

_Document = dict[str, typing.Any]


class Contest:
    """The model and the one to beat, if any, on the same resamples of the same examples.

    They are compared by the metric of the first check, which says too whether more of it is better.

    Args:
        evaluation: Of the model.
        before: Of the model to beat.
        examples: What both were judged on.
        settings: How.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        before: Evaluation | None,
        examples: Examples,
        settings: EvaluatorSettings,
    ):
        self.settings, self.examples, self.before = settings, examples, before
        self.metric, self.sign = settings.judge.bless[0].metric, settings.judge.bless[0].sign
        self.task = task_for(settings.task, examples)
        self.records = [one.predictions() for one in (evaluation, before) if one]
        self.ids = self.records[0]["ids"]
        how = settings.judge
        self.groups = find_groups(examples, how.split, self.ids, how.resample)
        self.all = self._samples(np.ones(len(self.ids), bool))

    def _samples(self, rows: np.ndarray) -> list[dict[str, Sample]]:
        """Returns the metrics of the new model on some examples, and those of the old one."""
        how = self.settings.judge.bootstrap, self.settings.seed
        groups = None if self.groups is None else self.groups[rows]
        chosen = [
            {name: column[rows] for name, column in records.items() if name != "ids"}
            for records in self.records
        ]
        return [sample(self.task.weighted(records), int(rows.sum()), *how, groups) for records in chosen]

    def _gain(self, samples: list[dict[str, Sample]], metric: str) -> Gain | None:
        return find_gain(samples[0][metric], samples[1][metric], self.sign) if self.before else None

    def whole(self) -> _Document | None:
        """Returns the comparison on all examples; None without a model to beat."""
        gain, against = self._gain(self.all, self.metric), self.settings.judge.against
        if self.before is None or gain is None:
            return None
        verdict = find_verdict(gain, against.margin)
        return {
            "metric": self.metric,
            "value": self.all[0][self.metric].value,
            "baseline": self.all[1][self.metric].value,
            "evaluation": self.before.digest,
            **_gain_row(gain),
            "probability": gain.probability,
            "verdict": verdict,
            "margin": against.margin,
            "passed": verdict in ("better", "not worse")
            or (verdict == "undecided" and against.undecided == "bless"),
        }

    def slices(self) -> tuple[list[_Document], int]:
        """Returns a row a slice, and how many were left out because they have too few examples.

        Holm's correction is over all slices: a model that is worse on none is told to be worse on any
        with a chance of at most 2.5%.
        """
        how = self.settings.judge
        parts, left_out = cut(self.examples, how.split, self.ids, how.slices, self.metric, self.all[0])
        found = [(part, self.all if part.rows.all() else self._samples(part.rows)) for part in parts]
        gains = [self._gain(samples, part.metric) for part, samples in found]
        guarded = [place for place, gain in enumerate(gains) if gain]
        rejected = holm([gain.worse(how.against.margin) for gain in gains if gain])
        worse = {place for place, is_worse in zip(guarded, rejected, strict=True) if is_worse}
        rows = [
            {
                "name": part.name,
                "examples": part.examples,
                "metric": part.metric,
                **samples[0][part.metric].row(),
                **_gain_row(gain),
                "worse": place in worse,
            }
            for place, ((part, samples), gain) in enumerate(zip(found, gains, strict=True))
        ]
        return rows, left_out


def _gain_row(gain: Gain | None) -> _Document:
    return {"gain": gain and {"value": gain.value, "low": gain.low, "high": gain.high}}
