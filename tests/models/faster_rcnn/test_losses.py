"""What both stages are told to find, and what it costs not to: worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.faster_rcnn.losses import (
    draw_regions,
    mask_loss,
    own_class,
    proposal_losses,
    region_losses,
)
from conveyor.models.faster_rcnn.settings import PROPOSALS, REGIONS

ANCHORS = tf.constant([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
TARGETS = {"boxes": tf.constant([[[0.0, 0, 10, 10], [-1, -1, -1, -1]]]), "labels": tf.constant([[1, -1]])}
SEED = tf.constant([1, 2])


@pytest.mark.parametrize(("shift", "distance"), [(0.1, 0.5 * 0.01 * 9), (-0.5, 0.5 - 1 / 18)])
def test_first_stage(shift, distance):
    """One anchor finds the box, one is background, one counts for nothing."""
    matched = tf.constant([[0, -1, -2]])
    raw = {
        "objectness": tf.constant([[2.0, -1.0, 5.0]]),
        "offsets": tf.constant([[[shift, 0, 0, 0], [9.0, 9, 9, 9], [9, 9, 9, 9]]]),
    }
    found = proposal_losses(raw, ANCHORS, matched, TARGETS, {**PROPOSALS, "share": 1.0}, SEED)
    # ln(1 + e^-2) = 0.126928 and ln(1 + e^-1) = 0.313262; both parts are means over the two that count
    np.testing.assert_allclose(found[0], (0.126928 + 0.313262) / 2, rtol=1e-5)
    np.testing.assert_allclose(found[1], distance / 2, rtol=1e-5)


def test_first_stage_without_objects():
    targets = {"boxes": -tf.ones([1, 1, 4]), "labels": tf.constant([[-1]])}
    raw = {"objectness": tf.zeros([1, 3]), "offsets": tf.ones([1, 3, 4])}
    found = proposal_losses(raw, ANCHORS, tf.constant([[-1, -1, -1]]), targets, PROPOSALS, SEED)
    np.testing.assert_allclose(found, [np.log(2), 0], rtol=1e-6)


def test_regions_are_drawn_from_proposals_and_true_boxes():
    proposals = tf.constant([[[0.0, 0, 10, 8], [30, 30, 40, 40], [0, 0, 5, 6], [-1, -1, -1, -1]]])
    drawn = draw_regions(proposals, TARGETS, {**REGIONS, "sample": 4, "share": 0.5}, SEED)
    boxes = drawn.boxes.numpy()[0][drawn.counts.numpy()[0]].tolist()
    # IoU 0.8 with the object, and the object itself; then background, one with an IoU of 0.3
    assert sorted(boxes[:2]) == [[0, 0, 10, 8], [0, 0, 10, 10]]
    assert sorted(boxes[2:]) == [[0, 0, 5, 6], [30, 30, 40, 40]]
    assert drawn.labels.numpy().tolist() == [[1, 1, -1, -1]]
    assert drawn.matched.numpy().tolist() == [[0, 0, -1, -1]]
    assert drawn.most == 2


def test_paddings_are_no_background_and_crowds_neither():
    proposals = tf.constant([[[50.0, 50, 60, 60], [20, 20, 24, 24], [-1, -1, -1, -1]]])
    targets = {
        "boxes": tf.constant([[[0.0, 0, 10, 10], [18, 18, 30, 30]]]),
        "labels": tf.constant([[0, 0]]),
        "ignored": tf.constant([[False, True]]),
    }
    drawn = draw_regions(proposals, targets, {**REGIONS, "sample": 3}, SEED)
    assert drawn.boxes.numpy()[0][drawn.counts.numpy()[0]].tolist() == [[0, 0, 10, 10], [50, 50, 60, 60]]


def drawn_regions(**changed):
    targets = {"boxes": TARGETS["boxes"][:, :1], "labels": TARGETS["labels"][:, :1]}
    proposals = tf.constant([[[50.0, 50, 60, 60]] * 2])
    return draw_regions(proposals, targets, {**REGIONS, "sample": 2, "share": 0.5, **changed}, SEED)


def test_second_stage():
    """The true box, of class 1 of 2, and background."""
    drawn = drawn_regions()
    logits = tf.constant([[[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]])
    offsets = tf.constant([[[[7.0] * 4, [0.5, 0, 0, 2]], [[7.0] * 4, [7.0] * 4]]])  # of class 1 is asked
    classes, boxes = region_losses(logits, offsets, drawn, "smooth_l1")
    # ln(2 + e) - 1 = 0.551445 and ln(2 + e^2) - 2 = 0.239544
    np.testing.assert_allclose(classes, (0.551445 + 0.239544) / 2, rtol=1e-5)
    # 0.5 * 0.5^2 + (2 - 0.5), a mean over both regions
    np.testing.assert_allclose(boxes, (0.125 + 1.5) / 2, rtol=1e-5)


def test_second_stage_by_overlap():
    """An offset of 1 moves the centre by 0.1 of the width, 1 pixel: IoU 9 / 11, hull 110, union 110."""
    offsets = tf.constant([[[[0.0] * 4, [1.0, 0, 0, 0]], [[0.0] * 4] * 2]])
    _, boxes = region_losses(tf.zeros([1, 2, 3]), offsets, drawn_regions(), "giou")
    np.testing.assert_allclose(boxes, (1 - 9 / 11) / 2, rtol=1e-5)


def test_masks():
    """Of two classes and three regions: class 0; class 1, which shows nowhere; and none."""
    logits = tf.stack([tf.zeros([1, 3, 2, 2]), 50.0 * tf.ones([1, 3, 2, 2])], -1)
    targets = np.zeros((1, 3, 2, 2), bool)
    targets[0, 0, 0] = True
    labels = tf.constant([[0, 1, -1]])
    found = mask_loss(logits, labels, tf.constant(targets))
    np.testing.assert_allclose(found, np.log(2), rtol=1e-6)  # of region 0 alone, in its own class
    own = own_class(logits, labels).numpy()
    assert own[0, :, 0, 0].tolist() == [0, 50, 0]
