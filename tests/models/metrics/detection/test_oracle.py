"""The weighted metrics against pycocotools, on whatever hypothesis thinks of."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycoco import documents, reference

from conveyor.models.metrics.detection.matches import Matches
from conveyor.models.metrics.detection.matching import match
from conveyor.models.metrics.detection.measures import Measures
from conveyor.models.metrics.detection.objects import Detections, Truth

# quarters of pixels are exact, so that thresholds are met to the bit; few values make many ties
_CORNERS = st.sampled_from([0.0, 10.0, 10.25, 12.0, 30.0])
_SIDES = st.sampled_from([0.0, 4.0, 5.0, 20.0, 32.0, 40.0, 96.0, 192.0])
_BOX = st.tuples(_CORNERS, _CORNERS, _SIDES, _SIDES).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
_SCORE = st.sampled_from([0.0, 0.1, 0.5, 0.5, 0.9, 1.0])
IMAGES, CLASSES = 4, 3
_TRUE = st.tuples(st.integers(0, 3), st.integers(0, 2), _BOX, st.booleans(), st.booleans())
_FOUND = st.tuples(st.integers(0, 3), st.integers(0, 2), _BOX, _SCORE)


def columns(true, found):
    """Returns rows of (image, label, box, crowd, difficult) and (image, label, box, score) as columns."""
    truth = Truth.of(
        *(np.array([row[i] for row in true], int) for i in (0, 1)),
        np.array([row[2] for row in true], float).reshape(-1, 4),
        crowd=np.array([row[3] for row in true], bool),
        difficult=np.array([row[4] for row in true], bool),
    )
    detections = Detections.of(
        *(np.array([row[i] for row in found], int) for i in (0, 1)),
        np.array([row[2] for row in found], float).reshape(-1, 4),
        np.array([row[3] for row in found], float),
    )
    return truth, detections


def values(matches, weights=None):
    measures = Measures(matches, [f"class {i}" for i in range(CLASSES)])
    return {
        name: value[0]
        for name, value in (measures.point() if weights is None else measures(weights[None])).items()
    }


def assert_same(found, expected, tolerance=1e-9):
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=tolerance, nan_ok=True), name


@settings(max_examples=150, deadline=None)
@given(st.lists(_TRUE, max_size=14), st.lists(_FOUND, max_size=30))
def test_equals_pycocotools(true, found):
    truth, detections = columns(true, found)
    expected = reference(*documents(truth, detections, IMAGES, CLASSES))
    assert_same(values(match(truth, detections, IMAGES)), expected)


def scene(generator, most, objects=60, count=400):
    """Returns objects of one class in few places, and detections near them."""
    box = generator.integers(0, 200, (objects, 4)).astype(float)
    box[:, 2:] = box[:, :2] + generator.integers(1, 120, (objects, 2))
    near = box[generator.integers(0, objects, count)] + generator.integers(-6, 7, (count, 4)) / 4
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
    truth = Truth.of(
        generator.integers(0, IMAGES, objects),
        generator.integers(0, most, objects),
        box,
        area=(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) * 0.7,
        crowd=generator.random(objects) < 0.1,
        difficult=generator.random(objects) < 0.1,
    )
    return truth, Detections.of(
        generator.integers(0, IMAGES, count),
        generator.integers(0, most, count),
        near,
        generator.integers(0, 50, count) / 50,
    )


@pytest.mark.parametrize("seed", range(6))
def test_equals_pycocotools_with_more_than_100_detections_of_an_image(seed):
    truth, detections = scene(np.random.default_rng(seed), most=1 if seed % 2 else CLASSES, count=900)
    assert np.bincount(detections.image).max() > 100
    expected = reference(*documents(truth, detections, IMAGES, CLASSES))
    assert_same(values(match(truth, detections, IMAGES)), expected)


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_copies_of_images(seed):
    """Whatever the weights: the same as matching anew a data set that holds each image so often."""
    generator = np.random.default_rng(seed)
    truth, detections = scene(generator, CLASSES)
    # no ties in an image: copies of it would come one after the other, and here each detection's do
    detections = dataclasses.replace(detections, score=generator.permutation(len(detections.score)) / 400)
    weights = generator.integers(0, 4, IMAGES)
    sources = np.repeat(np.arange(IMAGES), weights)

    def copied(some):
        rows = [np.flatnonzero(some.image == source) for source in sources]
        image = np.repeat(np.arange(len(sources)), [len(r) for r in rows])
        taken = np.concatenate([*rows, np.zeros(0, int)])
        every = {f.name: getattr(some, f.name)[taken] for f in dataclasses.fields(some)}
        return type(some)(**{**every, "image": image})

    matches = match(truth, detections, IMAGES)
    anew = match(copied(truth), copied(detections), len(sources))
    assert_same(values(matches, weights), values(anew), 1e-12)


def test_shards_merge_to_the_same_matches_in_any_grouping():
    truth, detections = scene(np.random.default_rng(7), CLASSES)
    parts = []
    for image in range(IMAGES):
        rows, true = detections.image == image, truth.image == image

        def of(some, kept):
            every = {f.name: getattr(some, f.name)[kept] for f in dataclasses.fields(some)}
            return type(some)(**{**every, "image": np.zeros(kept.sum(), int)})

        parts.append(match(of(truth, true), of(detections, rows), 1))
    whole = match(truth, detections, IMAGES)
    left = Matches.concat([Matches.concat(parts[:2]), *parts[2:]])
    right = Matches.concat([parts[0], Matches.concat([parts[1], Matches.concat(parts[2:])])])
    for field in dataclasses.fields(Matches):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name))
    assert_same(values(left), values(whole), 1e-12)
