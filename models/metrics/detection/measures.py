"""The metrics of a detector by name, with intervals, and two detectors compared on the same images."""

from collections.abc import Sequence

import numpy as np

from conveyor.models.metrics import bootstrap
from conveyor.models.metrics.detection.matches import AREAS, THRESHOLDS, VOC_AREA, Matches
from conveyor.models.metrics.detection.ranking import Ranking, Weighted
from conveyor.models.metrics.means import mean_of_defined
from conveyor.models.metrics.proportions import score_interval
from conveyor.models.metrics.weighted import resampled

WHY_THEY_DIFFER = (
    "COCO's AP averages precision over ten IoU thresholds from 0.50 to 0.95 and 101 recalls, keeps 100"
    " detections of a class in an image, and lets a detection take its second-best object if the best is"
    " taken; VOC asks for an IoU above 0.50 only, keeps all detections, leaves difficult objects out, and"
    " averages precision over 11 recalls (VOC07) or takes the area under the curve (VOC, since 2010)."
)
_STEPS = {0.5: 0, 0.75: 5}  # index among the thresholds

Metrics = dict[str, dict[str, float | None]]
Values = dict[str, np.ndarray]


class Measures:
    """All metrics of some matches as functions of the images' weights.

    Args:
        matches: Of n images.
        classes: Names of the classes, in the order of their indices.
    """

    def __init__(self, matches: Matches, classes: Sequence[str]):
        self._classes = classes
        self._images = matches.images
        self._rankings = Ranking.all(matches, len(classes))

    def __call__(self, weights: np.ndarray) -> Values:
        """Returns metric name -> float64 [b]; NaN where nothing is to be found.

        Args:
            weights: int [b, n].
        """
        per_class = [self._of_class(ranking, weights) for ranking in self._rankings]
        stacked = {name: np.array([some[name] for some in per_class]) for name in _NAMES}
        values = {name: mean_of_defined(some.reshape(-1, len(weights)).T) for name, some in stacked.items()}
        for label, some in zip(self._classes, per_class, strict=True):
            values[f"AP50/{label}"] = some["AP50"]
        return values

    def point(self) -> Values:
        """Returns metric name -> float64 [1] of the images as they are."""
        return self(np.ones((1, self._images), np.int64))

    def rests(self) -> dict[str, np.ndarray]:
        """Returns metric name -> int [m], the images that hold something it asks for."""
        areas = {f"{kind}{area}": index for kind in ("AP", "AR") for index, area in enumerate(AREAS)}
        areas |= {"voc07_AP50": VOC_AREA, "voc_AP50": VOC_AREA}
        found = {}
        for name in _NAMES:
            area = areas.get(name, 0)
            found[name] = _images([r.truth_image[r.counted[:, area]] for r in self._rankings])
        for label, ranking in zip(self._classes, self._rankings, strict=True):
            found[f"AP50/{label}"] = _images([ranking.truth_image[ranking.counted[:, 0]]])
        return found

    def support(self, groups: np.ndarray | None) -> dict[str, int]:
        """Returns metric name -> how many of the images, or of their groups, hold something it asks for."""
        rests = self.rests()
        if groups is None:
            return {name: len(images) for name, images in rests.items()}
        return {name: len(np.unique(groups[images])) for name, images in rests.items()}

    def _of_class(self, ranking: Ranking, weights: np.ndarray) -> Values:
        blocks = [_measure(ranking, part) for part in ranking.blocks(weights)]
        return {name: np.concatenate([block[name] for block in blocks]) for name in _NAMES}


_NAMES = (
    *("AP", "AP50", "AP75", "APs", "APm", "APl"),
    *("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
    *("voc07_AP50", "voc_AP50"),
)


def _images(parts: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate([np.zeros(0, np.int64), *parts]))


def _measure(ranking: Ranking, weights: np.ndarray) -> Values:
    """Returns metric name -> float64 [b] of one class."""
    weighted = Weighted(ranking, weights)
    made: Values = {}
    for area, name in enumerate(AREAS):
        hits, levels = weighted.area(area), weighted.levels(area)
        defined = np.where(np.isnan(weighted.positives[area]), np.nan, 1.0)
        precisions = np.stack([some.coco(levels) for some in hits])
        made[f"AP{name}"] = precisions.mean(axis=0) * defined
        made[f"AR{name or 100}"] = sum(some.reached() for some in hits) / len(THRESHOLDS) * defined
        if not name:
            made |= {f"AP{round(iou * 100)}": precisions[step] * defined for iou, step in _STEPS.items()}
            made |= {f"AR{most}": weighted.recall(most) for most in (1, 10)}
    voc, defined = weighted.voc(), np.where(np.isnan(weighted.positives[-1]), np.nan, 1.0)
    return made | {"voc07_AP50": voc.voc07() * defined, "voc_AP50": voc.voc() * defined}


class Sampled:
    """A detector measured on some images, and on resamples of them.

    Args:
        matches: Of n images.
        classes: Names of the classes, in the order of their indices.
        count: Number of resamples; 0 for no intervals.
        seed: Of the resamples.
        groups: [n], such as the patient or the video of each image; see `bootstrap.resamples`.
    """

    def __init__(
        self,
        matches: Matches,
        classes: Sequence[str],
        count: int = 0,
        seed: int = 0,
        groups: np.ndarray | None = None,
    ):
        measures = Measures(matches, classes)
        units = matches.images if groups is None else len(np.unique(groups))
        self.images = matches.images
        self.point = measures.point()
        self.support = measures.support(groups)
        self.drawn: Values | None = None
        if count and units > 1:
            self.drawn = resampled(measures, matches.images, count, seed, groups)

    def metrics(self) -> Metrics:
        """Returns metric name -> `value`, and `low` and `high` of its 95% interval.

        They are None where nothing is to be found; so is the interval where less than two images or
        groups hold what is. The interval has its width from resamples and its place from the value (see
        `proportions`): resamples repeat images, and average precision, made monotone before it is
        averaged, is higher on those.
        """
        found: Metrics = {}
        for name, (value,) in self.point.items():
            drawn = np.zeros(0) if self.drawn is None else self.drawn[name]
            low, high = score_interval(value, drawn, self.support[name])
            found[name] = {"value": _defined(value), "low": low, "high": high}
        return found

    def compare(self, other: "Sampled") -> Metrics:
        """Returns by how much another detector is better on the same images, drawn for both alike.

        Args:
            other: Of the same images in the same order, with the same count, seed and groups.

        Returns:
            Metric name -> `value`; `low` and `high` of its 95% interval; `probability` that the other
            is better, the share of resamples, where ties count half.

        Raises:
            ValueError: They are not of the same number of images.
        """
        if self.images != other.images:
            raise ValueError(f"expected the same images. Received: {self.images} and {other.images} of them")
        both = None if self.drawn is None or other.drawn is None else (self.drawn, other.drawn)
        return differences(self.point, other.point, both)


def differences(first: Values, second: Values, drawn: tuple[Values, Values] | None) -> Metrics:
    """Returns by how much the second is better, as `Sampled.compare` does.

    Args:
        first: Metric name -> float64 [1] of one.
        second: The same of the other.
        drawn: Metric name -> float64 [b] of both, of the same resamples; None for no intervals.
    """
    found: Metrics = {}
    for name in first:
        change = drawn[1][name] - drawn[0][name] if drawn else np.zeros(0)
        low, high = bootstrap.interval(change)
        value = _defined((second[name] - first[name])[0])
        found[name] = {"value": value, "low": low, "high": high, "probability": _probability(change)}
    return found


def _probability(difference: np.ndarray) -> float | None:
    difference = difference[np.isfinite(difference)]
    return float(((difference > 0) + (difference == 0) / 2).mean()) if len(difference) else None


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
