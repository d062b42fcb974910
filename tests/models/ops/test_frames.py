"""How images lie in the model's input, by hand."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.ops.frames import fit_size, frame_of, valid_size, whole_frame
from conveyor.models.ops.images import pad, padded_size


@pytest.mark.parametrize(
    ("own", "size", "expected"),
    [
        ((100, 50), (40, 40), (40, 20)),  # by 0.4
        ((50, 100), (40, 40), (20, 40)),
        ((10, 20), (30, 90), (30, 60)),  # by 3, the height decides
        ((7, 5), (7, 5), (7, 5)),
        ((1000, 2), (10, 10), (10, 1)),  # 0.02 columns: one is left
        ((3, 3), (10, 8), (8, 8)),  # by 8/3
    ],
)
def test_fit_by_hand(own, size, expected):
    assert fit_size(tf.constant(own), size).numpy().tolist() == list(expected)


def test_frame_by_hand():
    """An image of 10x20 that became 5x40: half as many rows, twice as many columns."""
    frame = frame_of(tf.constant([[10, 20]]), tf.constant([[5, 40]]))
    assert frame["sizes"].numpy().tolist() == [[10, 20]]
    assert frame["scales"].numpy().tolist() == [[0.5, 2.0]]
    assert valid_size(frame).numpy().tolist() == [[5, 40]]


def test_whole_frame():
    frame = whole_frame(tf.zeros([2, 3, 4, 1]))
    assert frame["sizes"].numpy().tolist() == [[3, 4]] * 2
    assert frame["scales"].numpy().tolist() == [[1.0, 1.0]] * 2


_SIDE = st.integers(1, 5000)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.tuples(_SIDE, _SIDE), st.tuples(_SIDE, _SIDE))
def test_what_fits_is_within_touches_a_side_and_is_told_by_the_frame(own, size):
    fitted = fit_size(tf.constant(own), size).numpy()
    assert (fitted <= size).all()
    assert (fitted >= 1).all()
    assert (fitted == size).any()
    assert valid_size(frame_of(tf.constant(own), tf.constant(fitted))).numpy().tolist() == fitted.tolist()


def test_pad_by_hand():
    pixels = np.uint8([[[1, 2], [3, 4]]])
    found = pad(tf.constant(pixels), (2, 3), [200, 7]).numpy()
    assert found.dtype == np.uint8
    assert found.tolist() == [[[1, 2], [3, 4], [200, 7]], [[200, 7]] * 3]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([[3, 8], [5, 2]], [8, 8]), ([[4, 9]], [4, 12]), (np.zeros((0, 2), np.int32), [4, 4])],
)
def test_padded_size_is_a_multiple_of_the_stride(sizes, expected):
    assert padded_size(tf.constant(sizes, tf.int32), 4).numpy().tolist() == expected
