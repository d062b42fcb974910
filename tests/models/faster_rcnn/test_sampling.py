"""Which anchors and regions a loss is of."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.models.faster_rcnn.sampling import positives, sample

# three of two objects, two that count for nothing, five of background
MATCHED = np.array([[0, -1, -2, 1, -1, -1, 0, -2, -1, -1]], np.int32)


def drawn(matched, count, share, seed=(3, 4)):
    index, counts = sample(tf.constant(matched), count, share, tf.constant(seed))
    return index.numpy(), counts.numpy()


def test_by_hand():
    index, counts = drawn(MATCHED, 4, 0.5)
    assert counts.all()
    kinds = MATCHED[0, index[0]]
    assert (kinds[:2] >= 0).all()  # half of four, first
    assert (kinds[2:] == -1).all()


def test_fills_up_with_background_and_then_with_what_does_not_count():
    index, counts = drawn(MATCHED, 10, 0.2)  # two objects' and five of background are all there is
    assert counts[0].tolist() == [True] * 7 + [False] * 3
    assert sorted(MATCHED[0, index[0, :7]] >= 0) == [False] * 5 + [True] * 2


def test_few_objects_leave_room_for_background():
    index, counts = drawn(np.array([[-1, -1, 5, -1]], np.int32), 3, 1.0)
    assert counts.all()
    assert index[0, 0] == 2
    assert set(index[0, 1:]) < {0, 1, 3}


def test_another_seed_draws_others_and_in_the_end_each():
    matched = np.array([[0] * 6 + [-1] * 6], np.int32)
    seen = [set(drawn(matched, 4, 0.5, (seed, 0))[0][0]) for seed in range(40)]
    assert set.union(*seen) == set(range(12))
    counts = np.bincount([i for some in seen for i in some], minlength=12)
    assert counts.min() >= 40 * 4 / 12 / 3  # 13 times each on average
    assert drawn(matched, 4, 0.5)[0].tolist() == drawn(matched, 4, 0.5)[0].tolist()


@pytest.mark.parametrize(("count", "share", "most"), [(64, 0.25, 16), (3, 0.1, 1), (1, 0.5, 1), (5, 1.0, 5)])
def test_room_for_objects(count, share, most):
    assert positives(count, share) == most


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_never_more_than_allowed_and_never_one_twice(data):
    matched = np.array([data.draw(st.lists(st.integers(-2, 3), min_size=8, max_size=8))], np.int32)
    count, share = data.draw(st.integers(1, 12)), data.draw(st.sampled_from([0.1, 0.5, 1.0]))
    index, counts = drawn(matched, count, share, (data.draw(st.integers(0, 99)), 0))
    taken = index[0][counts[0]]
    kinds = matched[0, taken]
    found, background = (matched >= 0).sum(), (matched == -1).sum()
    rows = min(count, 8)
    assert index.shape == (1, rows)
    assert len(set(taken)) == len(taken)
    assert (kinds >= -1).all()
    objects = min(found, positives(rows, share))
    assert ((kinds >= 0).sum(), (kinds == -1).sum()) == (objects, min(background, rows - objects))


def test_compiled_by_xla_draws_the_same():
    compiled = tf.function(lambda m, s: sample(m, 5, 0.5, s), jit_compile=True)
    for seed in ([3, 4], [9, 1]):
        for one, other in zip(
            compiled(MATCHED, seed), sample(tf.constant(MATCHED), 5, 0.5, seed), strict=True
        ):
            np.testing.assert_array_equal(one, other)
