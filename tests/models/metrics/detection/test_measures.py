"""What must hold of any detector: metamorphic relations, intervals, comparisons."""

import dataclasses

import numpy as np
import pytest

from conveyor.models.metrics.bootstrap import resamples
from conveyor.models.metrics.detection.curves import precision_recall
from conveyor.models.metrics.detection.errors import ERRORS, error_budget
from conveyor.models.metrics.detection.matches import THRESHOLDS, Matches
from conveyor.models.metrics.detection.matching import match
from conveyor.models.metrics.detection.measures import Measures, Sampled
from conveyor.models.metrics.detection.objects import Detections, Truth
from conveyor.models.metrics.detection.ranking import Ranking

CLASSES = ["cat", "dog", "none of it"]


def scene(seed, images=30, objects=120, noise=3.0):
    """Returns truth and detections; the third class has no object."""
    generator = np.random.default_rng(seed)
    box = generator.uniform(0, 300, (objects, 4))
    box[:, 2:] = box[:, :2] + generator.uniform(10, 120, (objects, 2))
    image, label = generator.integers(0, images, objects), generator.integers(0, 2, objects)
    truth = Truth.of(image, label, box, difficult=generator.random(objects) < 0.1)
    some = generator.choice(objects, objects * 3)
    near = box[some] + generator.normal(0, noise, (len(some), 4))
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
    score = generator.permutation(len(some)) / len(some)  # no ties: their order is by image
    return truth, Detections.of(image[some], label[some], near, score)


def point(truth, detections, images=30):
    return {
        name: value[0] for name, value in Sampled(match(truth, detections, images), CLASSES).point.items()
    }


def assert_same(found, expected):
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def taken(some, rows):
    return type(some)(**{f.name: getattr(some, f.name)[rows] for f in dataclasses.fields(some)})


def test_order_of_rows_and_of_images_does_not_matter():
    truth, detections = scene(0)
    generator = np.random.default_rng(1)
    place = generator.permutation(30)
    true, found = (taken(some, generator.permutation(len(some.image))) for some in (truth, detections))
    moved = [dataclasses.replace(some, image=place[some.image]) for some in (true, found)]
    assert_same(point(*moved), point(truth, detections))


def test_only_the_order_of_scores_matters():
    truth, detections = scene(2)
    rescaled = dataclasses.replace(detections, score=np.exp(5 * detections.score) - 7)
    assert_same(point(truth, rescaled), point(truth, detections))


def test_twice_the_data_is_the_same():
    truth, detections = scene(3)
    matches = match(truth, detections, 30)
    twice = Sampled(Matches.concat([matches, matches]), CLASSES).point
    assert_same({name: value[0] for name, value in twice.items()}, point(truth, detections))


def test_a_perfect_detector_has_one_everywhere_it_is_defined():
    truth, _ = scene(4)
    perfect = Detections.of(truth.image, truth.label, truth.box, np.linspace(0, 1, len(truth.image)))
    found = point(truth, perfect)
    # one detection of a class in an image cannot find more than one object
    defined = {name: value for name, value in found.items() if np.isfinite(value) and name not in ("AR1",)}
    assert defined == pytest.approx(dict.fromkeys(defined, 1.0))
    assert {name for name, value in found.items() if np.isnan(value)} <= {"APs", "ARs", "AP50/none of it"}


def test_nothing_to_find_is_undefined_and_nothing_found_is_zero():
    truth, detections = scene(5)
    nothing = Sampled(match(taken(truth, slice(0, 0)), detections, 30), CLASSES, 20).metrics()
    assert all(metric == {"value": None, "low": None, "high": None} for metric in nothing.values())
    silent = Sampled(match(truth, taken(detections, slice(0, 0)), 30), CLASSES, 20).metrics()
    assert silent["AP"]["value"] == 0
    assert silent["AP"]["low"] == 0 < silent["AP"]["high"] < 0.3
    assert silent["AP50/none of it"]["value"] is None
    assert Sampled(match(taken(truth, slice(0, 0)), taken(detections, slice(0, 0)), 0), [], 5).metrics()[
        "AP"
    ] == {
        "value": None,
        "low": None,
        "high": None,
    }


def test_one_image_has_a_value_and_no_interval():
    truth, detections = scene(6, images=1)
    metric = Sampled(match(truth, detections, 1), CLASSES, 50).metrics()["AP"]
    assert metric["value"] > 0
    assert (metric["low"], metric["high"]) == (None, None)


def test_the_value_lies_in_its_interval_and_the_seed_decides():
    truth, detections = scene(7, noise=8)
    matches = match(truth, detections, 30)
    once, again, other = (Sampled(matches, CLASSES, 200, seed).metrics() for seed in (0, 0, 1))
    assert once == again != other
    for name, metric in once.items():
        if metric["value"] is not None:
            assert metric["low"] <= metric["value"] <= metric["high"], name


def test_many_resamples_at_once_are_the_same_as_one_by_one():
    measures = Measures(match(*scene(6), 30), CLASSES)
    (weights,) = resamples(30, 400, seed=0)
    together = measures(weights)
    for row in range(0, 400, 57):
        assert_same({name: drawn[row] for name, drawn in together.items()}, measures(weights[row : row + 1]))


@pytest.mark.parametrize("few", ["detections", "objects"])
def test_memory_of_a_block_is_bounded_by_the_larger_side(few):
    """A class with many objects and hardly a detection, or the other way round."""
    truth, detections = scene(7)
    if few == "detections":
        detections = taken(detections, slice(0, 1))
    else:
        truth = taken(truth, slice(0, 1))
    largest = max(len(truth.image), len(detections.image))
    weights = np.ones((1 << 18, 30), np.int8)
    for ranking in Ranking.all(match(truth, detections, 30), len(CLASSES)):
        sides = max(len(ranking.image), len(ranking.truth_image), 1)
        parts = list(ranking.blocks(weights))
        assert sum(map(len, parts)) == len(weights)
        assert max(map(len, parts)) * sides <= max(1 << 21, largest)


def test_groups_widen_the_interval_where_images_of_a_group_are_alike():
    truth, detections = scene(8, images=40, noise=8)
    matches = match(truth, detections, 40)
    copies = Matches.concat([matches] * 4)
    apart = Sampled(copies, CLASSES, 300).metrics()["AP"]
    together = Sampled(copies, CLASSES, 300, groups=np.tile(np.arange(40), 4)).metrics()["AP"]
    ratio = (together["high"] - together["low"]) / (apart["high"] - apart["low"])
    assert ratio == pytest.approx(2, rel=0.25)  # a quarter of the independent images


def test_comparison_is_paired():
    truth, bad = scene(9, images=60, objects=240, noise=9)
    _, good = scene(9, images=60, objects=240, noise=4)
    one, other = (Sampled(match(truth, some, 60), CLASSES, 300) for some in (bad, good))
    better, worse = one.compare(other)["AP"], other.compare(one)["AP"]
    assert better["low"] > 0
    assert better["probability"] == 1
    assert worse["value"] == -better["value"]
    assert (worse["low"], worse["high"]) == pytest.approx((-better["high"], -better["low"]))
    same = one.compare(one)["AP"]
    assert (same["value"], same["low"], same["high"], same["probability"]) == (0, 0, 0, 0.5)
    with pytest.raises(ValueError, match="same images"):
        one.compare(Sampled(match(truth, bad, 61), CLASSES))


def test_curve_averages_to_ap50_and_its_band_holds_it():
    truth, detections = scene(10, noise=8)
    matches = match(truth, detections, 30)
    curves = precision_recall(matches, CLASSES, resamples(30, 100, 0))
    assert list(curves) == ["cat", "dog"]
    found = Sampled(matches, CLASSES).point
    for name, curve in curves.items():
        assert np.mean(curve["precision"]) == pytest.approx(found[f"AP50/{name}"][0])
        assert np.all(np.diff(curve["precision"]) <= 0)
        assert np.all(np.array(curve["low"]) <= np.array(curve["high"]))
    strict = precision_recall(matches, CLASSES, threshold=0.75)
    assert np.mean([np.mean(curve["precision"]) for curve in strict.values()]) == pytest.approx(
        found["AP75"][0]
    )
    with pytest.raises(ValueError, match="threshold"):
        precision_recall(matches, CLASSES, threshold=0.42)


def test_errors_are_told_apart():
    box = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [90, 90, 99, 99.0]])
    truth = Truth.of([0, 0, 0], [0, 1, 0], box)
    # A and A again, the second with the wrong class, something nowhere; the third missed
    found = np.array([box[0], box[0], box[1], [200, 200, 210, 210]])
    detections = Detections.of([0] * 4, [0, 0, 0, 0], found, [0.9, 0.8, 0.7, 0.6])
    budget = error_budget(truth, detections, 1, ["a", "b"])
    assert list(budget) == list(ERRORS)
    counts = {kind: error["count"] for kind, error in budget.items()}
    assert counts == {"Cls": 1, "Loc": 0, "Both": 0, "Dupe": 1, "Bkg": 1, "Miss": 1}
    assert error_budget(truth, taken(detections, slice(0, 0)), 1, ["a", "b"]) is None


@pytest.mark.slow
def test_intervals_cover():
    """95% intervals of AP and AP50 hold the value of 10,000 images in about 95% of 200 samples.

    A share of 0.95 among 200 is 0.95 +- 0.03.
    """
    images = 100

    def sample(generator, count):
        """Returns matches of a detector whose overlaps and scores are better in some images."""
        truth_image = np.repeat(np.arange(count), generator.poisson(4, count) + 1)
        ease = generator.normal(1.6, 0.5, count)[truth_image]
        overlap = 1 / (1 + np.exp(-ease - generator.normal(0, 1, len(truth_image))))
        wrong = np.repeat(np.arange(count), generator.poisson(3, count))
        score = np.append(
            0.6 * overlap + 0.4 * generator.random(len(overlap)), generator.random(len(wrong)) ** 2
        )
        hit = np.append(overlap, np.zeros(len(wrong)))[:, None] >= THRESHOLDS
        outcome = np.concatenate([hit, hit, hit, hit, hit[:, :1]], axis=1).astype(np.uint8)
        image = np.append(truth_image, wrong)
        zeros = np.zeros(len(image), int)
        counted = np.ones((len(truth_image), 5), bool)
        return Matches(
            count, image, zeros, score, zeros, outcome, truth_image, np.zeros_like(truth_image), counted
        )

    truth = Sampled(sample(np.random.default_rng(1), 10_000), ["a"]).point
    covered = []
    for seed in range(200):
        metrics = Sampled(sample(np.random.default_rng([2, seed]), images), ["a"], 100, seed).metrics()
        covered.append(
            [metrics[name]["low"] <= truth[name][0] <= metrics[name]["high"] for name in ("AP", "AP50")]
        )
    share = np.mean(covered, axis=0)
    assert np.all((share >= 0.92) & (share <= 0.98)), share
