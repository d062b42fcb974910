import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from conveyor.models.metrics.boundaries import boundary_f1, boundary_metrics
from conveyor.models.void import VOID


def f1_by_loops(truth, predicted, label, tolerance, void=VOID):
    """The definition, word for word, over all pairs of outline pixels."""

    def outline(mask):
        found = []
        for y, x in np.argwhere(mask == label):
            beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(a, b) for a, b in beside if 0 <= a < mask.shape[0] and 0 <= b < mask.shape[1]]
            if any(mask[at] not in (label, void) for at in inside):
                found.append((y, x))
        return found

    predicted = np.where(truth == void, void, predicted)
    if (truth == label).any() != (predicted == label).any():
        return 0.0
    wanted, told = outline(truth), outline(predicted)
    if not wanted and not told:
        return np.nan

    def near(ones, others):
        return sum(any(np.hypot(y - a, x - b) <= tolerance for a, b in others) for y, x in ones)

    if not wanted or not told:
        return 0.0
    precision, recall = near(told, wanted) / len(told), near(wanted, told) / len(wanted)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def square(top, left, side=4, size=12):
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_golden_worked_by_hand():
    truth = np.array([[0, 0, 1, 1, 1]])
    predicted = np.array([[0, 0, 0, 0, 1]])
    # outlines: of 0, pixel 1 against pixel 3; of 1, pixel 2 against pixel 4
    assert boundary_f1(truth, predicted, 2, tolerance=1).tolist() == [0, 0]
    assert boundary_f1(truth, predicted, 2, tolerance=2).tolist() == [1, 1]


def test_golden_with_parts_right_worked_by_hand():
    truth, predicted = square(2, 2), square(2, 2)
    predicted[2:6, 2] = 0  # the square lacks its left column: 4 by 3
    # outline of truth 12 pixels, of the prediction 10: all but the 2 in the middle of its
    # left side lie on the true one; of the 12 true pixels the 4 of the left column are not there
    precision, recall = 8 / 10, 8 / 12
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_f1(truth, predicted, 2, tolerance=0)[1] == pytest.approx(expected)


@st.composite
def masks(draw):
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    size = shape[0] * shape[1]
    truth = draw(st.lists(st.sampled_from([0, 0, 1, 1, 2, VOID]), min_size=size, max_size=size))
    predicted = draw(st.lists(st.sampled_from([0, 1, 2]), min_size=size, max_size=size))
    return np.array(truth, np.uint8).reshape(shape), np.array(predicted, np.uint8).reshape(shape)


@hypothesis.given(masks(), st.sampled_from([0, 1, 1.5, 2, 3]))
@hypothesis.settings(deadline=None)
def test_equals_plain_loops(case, tolerance):
    expected = [f1_by_loops(*case, label, tolerance) for label in range(3)]
    np.testing.assert_allclose(boundary_f1(*case, 3, tolerance), expected, rtol=0, atol=1e-12)


@hypothesis.given(masks())
@hypothesis.settings(deadline=None)
def test_perfect_is_one_and_more_tolerance_is_never_worse(case):
    truth, predicted = case
    perfect = boundary_f1(truth, np.where(truth == VOID, 0, truth), 3)
    assert set(perfect[np.isfinite(perfect)]) <= {1.0}
    near, far = boundary_f1(truth, predicted, 3, 1), boundary_f1(truth, predicted, 3, 2)
    assert np.all(np.isnan(near) == np.isnan(far))
    assert np.all(near[np.isfinite(near)] <= far[np.isfinite(far)])


def test_tolerance_is_a_share_of_the_diagonal_unless_told():
    # 0.75% of a diagonal of 400 pixels is 3
    wide = 320, 240
    truth, three, four = np.zeros((3, *wide), np.uint8)
    truth[:, 100:], three[:, 103:], four[:, 104:] = 1, 1, 1
    assert boundary_f1(truth, three, 2).tolist() == [1, 1]
    assert boundary_f1(truth, four, 2).tolist() == [0, 0]


def test_outlines_in_void_are_not_judged():
    truth = np.array([[0, 0, VOID, VOID, 1, 1]])
    for predicted in ([0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1]):
        assert np.isnan(boundary_f1(truth, np.array([predicted]), 2)).all()
    # one that is not in it is
    assert boundary_f1(truth, np.array([[0, 1, 1, 1, 1, 1]]), 2).tolist() == [0, 0]


def test_classes_that_fill_the_image_or_are_nowhere():
    zeros, ones = np.zeros((3, 3), int), np.ones((3, 3), int)
    np.testing.assert_equal(boundary_f1(zeros, zeros, 3), [np.nan] * 3)
    np.testing.assert_equal(boundary_f1(zeros, ones, 3), [0, 0, np.nan])


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        boundary_f1(np.zeros((2, 3)), np.zeros((3, 2)), 2)


def test_means_over_images_worked_by_hand():
    scores = np.array([[1.0, 0.5], [np.nan, 0.2], [np.nan, np.nan]])
    found = boundary_metrics(scores, np.array([[1, 1, 1], [2, 1, 0], [0, 0, 3]]), ["a", "b"])
    np.testing.assert_allclose(found["boundary_f1"], [(0.75 + 0.2) / 2, (2 * 0.75 + 0.2) / 3, np.nan])
    np.testing.assert_allclose(found["boundary_f1/a"], [1, 1, np.nan])
    np.testing.assert_allclose(found["boundary_f1/b"], [0.35, (2 * 0.5 + 0.2) / 3, np.nan])
