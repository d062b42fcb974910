import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.components.trainer.balance import balanced_order, class_weights

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


def test_weights_worked_by_hand():
    np.testing.assert_allclose(class_weights(np.array([60, 30, 10])), [100 / 180, 100 / 90, 100 / 30])
    assert class_weights(np.array([60, 30, 10])).dtype == np.float32


def test_class_without_examples_has_no_weight():
    np.testing.assert_allclose(class_weights(np.array([3, 0, 1])), [4 / 6, 0, 2])


@given(labels=LABELS)
def test_every_class_weighs_the_same_and_examples_weigh_one_on_average(labels):
    counts = np.bincount(labels, minlength=5)
    weights = class_weights(counts)
    totals = (weights * counts)[counts > 0]
    np.testing.assert_allclose(totals, totals[0], rtol=1e-5)
    assert weights[labels].mean() == pytest.approx(1.0, rel=1e-5)


def test_a_rare_class_is_repeated_and_a_common_one_is_sampled():
    labels = np.array([0] * 10 + [1] * 2)
    order = balanced_order(labels, 0, 0)
    assert len(order) == 12
    assert np.bincount(labels[order]).tolist() == [6, 6]
    assert np.bincount(order, minlength=12)[:10].max() == 1
    assert np.bincount(order, minlength=12)[10:].tolist() == [3, 3]


@given(labels=LABELS, seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 1000))
def test_classes_and_their_members_are_drawn_equally_often(labels, seed, epoch):
    order = balanced_order(labels, seed, epoch)
    assert order.dtype == np.int64
    assert len(order) == len(labels)
    present = np.unique(labels)
    drawn = np.array([(labels[order] == label).sum() for label in present])
    assert drawn.max() - drawn.min() <= 1
    times = np.bincount(order, minlength=len(labels))
    for label in present:
        assert np.ptp(times[labels == label]) <= 1


def test_order_depends_on_seed_and_epoch_alone():
    labels = np.array([0] * 40 + [1] * 9)
    orders = [balanced_order(labels, seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert balanced_order(labels, 1, 1).tolist() == orders[3]
    assert np.any(np.diff(labels[orders[0]]) != 0)


def test_all_examples_of_a_common_class_have_their_turn():
    labels = np.array([0] * 40 + [1] * 10)
    seen = set().union(*(balanced_order(labels, 0, epoch).tolist() for epoch in range(12)))
    assert seen == set(range(50))
