"""VOC's metrics against the plain loop that everybody uses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_oracle import CLASSES, IMAGES, columns, scene, values

from conveyor.models.metrics.detection.matching import match


def reference(truth, detections):
    """Returns VOC07's and VOC's AP, the mean over classes with objects; as Girshick's `voc_eval.py`."""
    found = [_of_class(truth, detections, label) for label in range(CLASSES)]
    found = [pair for pair in found if pair is not None]
    return np.mean(found, axis=0) if found else (np.nan, np.nan)


def _of_class(truth, detections, label):
    skipped = truth.crowd | truth.difficult
    positives = int(((truth.label == label) & ~skipped).sum())
    if not positives:
        return None
    rows = np.flatnonzero(detections.label == label)
    rows = rows[np.lexsort((detections.image[rows], -detections.score[rows]))]
    seen, hits, misses = set(), [], []
    for row in rows:
        true = np.flatnonzero((truth.label == label) & (truth.image == detections.image[row]))
        overlaps = [_iou(detections.box[row], truth.box[other]) for other in true]
        best = int(np.argmax(overlaps)) if overlaps else 0
        if overlaps and overlaps[best] > 0.5:
            if skipped[true[best]]:
                continue
            hit = true[best] not in seen
            seen.add(true[best])
        else:
            hit = False
        hits.append(hit)
        misses.append(not hit)
    recall = np.cumsum(hits) / positives
    precision = np.cumsum(hits) / np.maximum(np.cumsum(hits) + np.cumsum(misses), 1)
    old = np.mean([max(precision[recall >= i / 10 - 1e-9], default=0.0) for i in range(11)])
    steps = np.diff(np.concatenate([[0.0], recall]))
    new = sum(step * precision[i:].max() for i, step in enumerate(steps) if step > 0)
    return old, new


def _iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common) if common else 0.0


def assert_same(truth, detections):
    found = values(match(truth, detections, IMAGES))
    expected = reference(truth, detections)
    assert (found["voc07_AP50"], found["voc_AP50"]) == pytest.approx(tuple(expected), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_plain_loop(seed):
    assert_same(*scene(np.random.default_rng(seed), CLASSES, count=700))


_SIDE = st.sampled_from([0.0, 2.0, 10.0, 12.0, 20.0])
_BOX = st.tuples(_SIDE, _SIDE, _SIDE, _SIDE).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
_TRUE = st.tuples(st.integers(0, 3), st.integers(0, 2), _BOX, st.booleans(), st.booleans())
_FOUND = st.tuples(st.integers(0, 3), st.integers(0, 2), _BOX, st.sampled_from([0.1, 0.5, 0.9]))


@settings(max_examples=100, deadline=None)
@given(st.lists(_TRUE, max_size=10), st.lists(_FOUND, max_size=20))
def test_equals_the_plain_loop_on_anything(true, found):
    assert_same(*columns(true, found))


@pytest.mark.parametrize("positives", [10, 20, 30, 100])
def test_recalls_of_tenths_are_reached(positives):
    """With k of n found, recall k / n = i / 10 counts as reached, whatever the last bit of the quotient."""
    box = np.zeros((positives, 4))
    box[:, 0] = 100 * np.arange(positives)
    box[:, 2:] = box[:, :2] + 10
    for tenths in range(1, 11):
        some = positives * tenths // 10
        truth = [(0, 0, tuple(row), False, False) for row in box]
        found = [(0, 0, tuple(row), 0.5) for row in box[:some]]
        measured = values(match(*columns(truth, found), 1))
        assert measured["voc07_AP50"] == pytest.approx((tenths + 1) / 11), tenths
