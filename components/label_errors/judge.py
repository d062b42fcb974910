"""The judge: a simple classifier, asked about each example when it has not seen it.

Nyström's approximation of an RBF kernel, then linear discriminant analysis with Ledoit-Wolf shrinkage:
solved in closed form, so it is fast, deterministic, and not bent by single wrong labels. Its
probabilities are calibrated by one temperature, and compared with the labels by confident learning.

Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
2021 (cleanlab); Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

import dataclasses
import warnings

import cleanlab.count
import cleanlab.filter
import cleanlab.rank
import numpy as np
import scipy.optimize
import scipy.special
import sklearn.metrics
import threadpoolctl
from absl import logging
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from conveyor.components.label_errors.appearance import SHAPE
from conveyor.components.label_errors.folds import FOLDS, assign_folds

LEAST_SKILL = 0.5
"""Skill below which nothing is said: the way from chance (0) to perfection (1), in balanced accuracy."""
LEAST_PER_CLASS = 10
"""Examples, groups counted once, that a class must have to be judged."""
_TRAINED_ON = 20_000  # examples a fold at most; bounds time and memory
_LANDMARKS = 500, 100  # of the kernels on shape and on the rest
_CHUNK = 4096  # examples asked about at a time; bounds memory
_DIGITS = 5  # of probabilities; what is beyond depends on the machine


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the judge thinks of the labels.

    Args:
        rows: [m] rows that it could judge; the arrays below are of these.
        likely: [m] the class it prefers.
        confidence: [m] its probability of that class.
        suspect: [m] whether confident learning holds the label for wrong.
        quality: [m] its probability of the given label.
        balanced_accuracy: Mean over classes of the share of labels it agrees with.
        classes: Number of classes that it could judge.
        noise: Confident learning's estimate of the share of wrong labels.
    """

    rows: np.ndarray
    likely: np.ndarray
    confidence: np.ndarray
    suspect: np.ndarray
    quality: np.ndarray
    balanced_accuracy: float
    classes: int
    noise: float

    def worst_first(self, among: np.ndarray) -> np.ndarray:
        """Returns the suspects, as indices into the arrays here.

        Args:
            among: [m] bool: which of them are wanted.
        """
        found = np.flatnonzero(self.suspect & among)
        return found[np.argsort(self.quality[found], kind="stable")]


def judge(features: np.ndarray, labels: np.ndarray, bundles: np.ndarray) -> Verdict | None:
    """Asks about each example a model that has not seen its bundle.

    Args:
        features: [n, SHAPE + m] float32: edges, then others in any unit.
        labels: [n] int64, at least 0; -1 for none, which are left out.
        bundles: [n] int64; see `folds.bundle`.

    Returns:
        The verdict; None where fewer than two classes have `LEAST_PER_CLASS` examples, or the judge
        knows too little to be heard.
    """
    rows, classes = _judged(labels, bundles)
    if len(classes) < 2:
        return None
    given = np.searchsorted(classes, labels[rows])
    folds = assign_folds(bundles[rows], given)
    chances = held_out(features[rows], given, folds, len(classes))
    likely = chances.argmax(1)
    accuracy = float(sklearn.metrics.balanced_accuracy_score(given, likely))
    if not is_skilled(accuracy, len(classes)):
        return None
    noise = 1 - np.trace(cleanlab.count.estimate_joint(given, chances))
    return Verdict(
        rows=rows,
        likely=classes[likely],
        confidence=chances.max(1),
        suspect=cleanlab.filter.find_label_issues(given, chances, n_jobs=1),
        quality=cleanlab.rank.get_label_quality_scores(given, chances),
        balanced_accuracy=accuracy,
        classes=len(classes),
        noise=float(noise),
    )


def is_skilled(balanced_accuracy: float, classes: int) -> bool:
    """Returns whether a judge is to be heard: it is half-way from chance to perfection, or better.

    Args:
        balanced_accuracy: In held-out predictions, in [0, 1].
        classes: Their number, at least 2.
    """
    chance = 1 / classes
    skill = (balanced_accuracy - chance) / (1 - chance)
    if skill < LEAST_SKILL:
        logging.info("label errors: not judged, as the judge's skill is %.2f of %.2f", skill, LEAST_SKILL)
    return skill >= LEAST_SKILL


def _judged(labels: np.ndarray, bundles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows and the classes of which there is enough."""
    pairs = np.unique(np.stack([labels, bundles]), axis=1)
    classes, counts = np.unique(pairs[0], return_counts=True)
    kept = classes[(counts >= LEAST_PER_CLASS) & (classes >= 0)]
    return np.flatnonzero(np.isin(labels, kept)), kept


@threadpoolctl.threadpool_limits.wrap(limits=1)  # the same sums whatever the number of cores
def held_out(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, classes: int) -> np.ndarray:
    """Returns calibrated probabilities of each class, from models trained on the other folds.

    Args:
        features: [n, SHAPE + m] float32.
        labels: [n] int64 in [0, classes).
        folds: [n] int64 in [0, FOLDS).
        classes: Their number.

    Returns:
        [n, classes] float32.
    """
    scores = np.full((len(labels), classes), -np.inf, np.float32)  # of a class that no model of a fold saw
    for fold in range(FOLDS):
        trained = _thin(np.flatnonzero(folds != fold), _TRAINED_ON)
        model = _model(len(trained), features.shape[1] > SHAPE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of features that are constant
            model.fit(features[trained], labels[trained])
        asked = np.flatnonzero(folds == fold)
        for start in range(0, len(asked), _CHUNK):
            some = asked[start : start + _CHUNK]
            found = model.decision_function(features[some])
            if found.ndim == 1:  # of two classes there is but the difference
                found = np.stack([np.zeros(len(found)), found], axis=1)
            scores[np.ix_(some, model.classes_)] = found
    return _calibrated(scores, labels)


def _model(examples: int, with_others: bool) -> Pipeline:
    shape, others = (min(count, examples) for count in _LANDMARKS)
    maps = [("shape", Nystroem(gamma=1.0, n_components=shape, random_state=0), slice(0, SHAPE))]
    if with_others:
        kernel = Nystroem(n_components=others, random_state=0)
        maps.append(("others", make_pipeline(StandardScaler(), kernel), slice(SHAPE, None)))
    return make_pipeline(ColumnTransformer(maps), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))


def _thin(rows: np.ndarray, limit: int) -> np.ndarray:
    """Returns at most `limit` of the rows, evenly spaced: as they are in no order, a sample."""
    return rows if len(rows) <= limit else rows[np.arange(limit) * len(rows) // limit]


def _calibrated(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Makes probabilities as sure as they are right, by the one temperature that fits the labels best."""
    seen = np.isfinite(np.take_along_axis(scores, labels[:, None], axis=1)[:, 0])
    rows = _thin(np.flatnonzero(seen), _TRAINED_ON)
    some, given = scores[rows], labels[rows, None]

    def loss(log_scale: float) -> float:
        logs = scipy.special.log_softmax(some * np.float32(np.exp(log_scale)), axis=1)
        return -float(np.take_along_axis(logs, given, axis=1).mean(dtype=np.float64))

    scale = np.exp(scipy.optimize.minimize_scalar(loss, bounds=(-5, 3), method="bounded").x)
    for start in range(0, len(scores), _CHUNK):
        part = scores[start : start + _CHUNK]
        part[:] = scipy.special.softmax(part * np.float32(scale), axis=1).round(_DIGITS)
    return scores
