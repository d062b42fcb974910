"""Worked by hand, with the arithmetic."""

import numpy as np
import pytest

from conveyor.models.metrics.detection.matching import match
from conveyor.models.metrics.detection.measures import Measures
from conveyor.models.metrics.detection.objects import Detections, Truth, unpad


def measured(truth, detections, images=1, classes=1):
    measures = Measures(match(truth, detections, images), [f"c{i}" for i in range(classes)])
    return {name: value[0] for name, value in measures.point().items()}


def one_class(boxes, found, scores, images=None, found_images=None, **flags):
    """Returns truth and detections of one class, in one image unless told."""
    zeros, others = np.zeros(len(boxes), int), np.zeros(len(found), int)
    truth = Truth.of(zeros if images is None else images, zeros, np.array(boxes, float), **flags)
    image = others if found_images is None else found_images
    return truth, Detections.of(image, others, np.array(found, float), np.array(scores, float))


A, B, C = (0, 0, 10, 10), (50, 0, 60, 10), (100, 0, 110, 10)
NOWHERE = (300, 300, 310, 310)


def test_three_objects_one_found_wrongly():
    """Ranked: A hit, nowhere, B hit, and C is missed.

    recall    1/3  1/3  2/3
    precision 1    1/2  2/3, made monotone: 1, 2/3, 2/3.
    COCO: the recalls 0, 0.01 … 0.33 are 34 (1/3 reaches 0.33), 0.34 … 0.66 are 33: (34 + 33 x 2/3) / 101.
    VOC07: 0, 0.1, 0.2, 0.3 are 4, 0.4, 0.5, 0.6 are 3: (4 + 3 x 2/3) / 11.
    VOC: 1/3 x 1 + 1/3 x 2/3 = 5/9.
    The objects have 100 square pixels: small. All boxes are exact, so every threshold says the same.
    """
    found = measured(*one_class([A, B, C], [A, NOWHERE, B], [0.9, 0.8, 0.7]))
    coco = (34 + 33 * 2 / 3) / 101
    for name in ("AP", "AP50", "AP75", "APs", "AP50/c0"):
        assert found[name] == pytest.approx(coco, abs=1e-12), name
    assert found["voc07_AP50"] == pytest.approx(6 / 11)
    assert found["voc_AP50"] == pytest.approx(5 / 9)
    # one detection an image: A alone. With ten: A and B.
    assert [found[name] for name in ("AR1", "AR10", "AR100", "ARs")] == pytest.approx([1 / 3, *[2 / 3] * 3])
    assert np.isnan([found[name] for name in ("APm", "APl", "ARm", "ARl")]).all()


def test_overlap_counts_at_the_thresholds_it_reaches():
    """A box of 10 x 10 moved by 2.5: 7.5 x 10 shared of 125, an IoU of 0.6: thresholds 0.50, 0.55, 0.60."""
    found = measured(*one_class([A], [(2.5, 0, 12.5, 10)], [0.5]))
    assert (found["AP"], found["AP50"], found["AP75"]) == (pytest.approx(0.3), 1, 0)


def test_an_iou_of_one_half_is_enough_for_coco_and_not_for_voc():
    """10 x 10 beside 10 x 5: 50 shared of 100."""
    found = measured(*one_class([A], [(0, 0, 10, 5)], [0.5]))
    assert (found["AP50"], found["voc_AP50"]) == (1, 0)


def test_second_best_object_is_taken_by_coco_and_not_by_voc():
    """Both detections overlap A most; A is taken by the first. IoU of the second with A 0.82, with D 0.67."""
    near = (0, 0, 10, 8)  # within A, 80 of 100
    truth, detections = one_class([A, near], [A, (0, 0, 10, 9.5)], [0.9, 0.8])
    # second: with A 95 / 100, with `near` 80 / 95 = 0.84: to VOC it is A once more, to COCO `near`
    found = measured(truth, detections)
    assert found["AP50"] == pytest.approx(1)
    assert found["voc_AP50"] == pytest.approx(0.5)


def test_difficult_objects_are_left_out_by_voc_and_counted_by_coco():
    """A is difficult. VOC: one object, B, found first of what counts: 1. COCO: two objects, both found: 1.

    Without the detection of A: VOC 1 still; COCO finds one of two: 51 of the 101 recalls.
    """
    flags = {"difficult": np.array([True, False])}
    both = measured(*one_class([A, B], [A, B], [0.9, 0.8], **flags))
    assert (both["voc_AP50"], both["AP50"]) == (1, 1)
    one = measured(*one_class([A, B], [B], [0.8], **flags))
    assert (one["voc_AP50"], one["AP50"]) == (1, pytest.approx(51 / 101))


def test_a_crowd_takes_any_number_of_detections_and_none_is_counted():
    """The crowd holds three of the detections: ignored. B is found: 1, though it has the lowest score."""
    inside = [(0, 0, 5, 5), (5, 5, 10, 10), (1, 1, 6, 6)]
    flags = {"crowd": np.array([True, False])}
    found = measured(*one_class([A, B], [*inside, B], [0.9, 0.8, 0.7, 0.1], **flags))
    assert found["AP"] == pytest.approx(1)
    # to VOC these overlap too little (25 / 100) to be about it: 3 wrong before 1 right
    assert found["voc_AP50"] == pytest.approx(1 / 4)


def test_unpad_takes_what_is_no_padding():
    labels = np.array([[1, -1], [-1, -1], [0, 2]])
    scores = np.array([[0.1, 0], [0, 0], [0.2, 0.3]])
    image, label, score = unpad(labels, scores)
    assert image.tolist() == [0, 2, 2]
    assert label.tolist() == [1, 0, 2]
    assert score.tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("box", [(0, 0, -1, 5), (0, 5, 3, 4), (0, 0, np.nan, 1), (0, 0, np.inf, 1)])
def test_boxes_that_are_none_are_refused(box):
    with pytest.raises(ValueError, match=r"box\[1\]"):
        one_class([A, box], [A], [0.5])
    with pytest.raises(ValueError, match=r"box\[0\]"):
        one_class([A], [box], [0.5])


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_scores_that_are_none_are_refused(score):
    with pytest.raises(ValueError, match=r"score\[1\]"):
        one_class([A], [A, B], [0.5, score])
