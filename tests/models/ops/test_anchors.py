import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from conveyor.models.ops.anchors import anchor_grid, anchor_shapes, fit_shapes, shape_iou

SIZES = arrays.arrays(np.float64, st.tuples(st.integers(3, 30), st.just(2)), elements=st.integers(1, 9))


def test_shapes_have_the_scales_area_and_the_aspect_ratio():
    found = anchor_shapes([10, 20], [1, 4])
    np.testing.assert_allclose(found, [[10, 10], [20, 5], [20, 20], [40, 10]])
    assert found.dtype == np.float32


def test_grid_by_hand():
    found = anchor_grid((20, 33), 16, np.float32([[4, 8], [2, 2]]))
    assert found.shape == (2 * 3 * 2, 4)  # as many rows and columns as "same" convolutions give
    np.testing.assert_array_equal(found[:2], [[6, 4, 10, 12], [7, 7, 9, 9]])
    np.testing.assert_array_equal(found[2], [22, 4, 26, 12])  # the next column
    np.testing.assert_array_equal(found[6], [6, 20, 10, 28])  # the next row


def test_offset_and_coarser_grid():
    one = np.float32([[2, 2]])
    np.testing.assert_array_equal(anchor_grid((8, 8), 8, one, 0.0), [[-1, -1, 1, 1]])
    coarse = anchor_grid((32, 32), 16, one)
    np.testing.assert_array_equal(coarse[:, :2] + 1, [[8, 8], [24, 8], [8, 24], [24, 24]])


def test_shape_iou_by_hand():
    np.testing.assert_allclose(shape_iou([[2, 4]], [[4, 2], [2, 4], [1, 1]]), [[4 / 12, 1, 1 / 8]])


def test_finds_the_groups_of_sizes():
    rng = np.random.default_rng(0)
    groups = np.float64([[10, 20], [30, 30], [90, 40]])
    sizes = np.concatenate([group * rng.uniform(0.95, 1.05, (50, 2)) for group in groups])
    found = fit_shapes(sizes, 3)
    np.testing.assert_allclose(found, groups, rtol=0.05)


def test_as_many_shapes_as_sizes_are_the_sizes():
    sizes = np.float64([[5, 1], [2, 2], [9, 9], [2, 2], [2, 2], [2, 2]])
    np.testing.assert_array_equal(fit_shapes(sizes, 3), [[2, 2], [5, 1], [9, 9]])


@given(SIZES, st.integers(1, 3), st.randoms())
def test_any_order_gives_the_same_and_it_is_no_worse_than_one_shape(sizes, count, random):
    if len(np.unique(sizes, axis=0)) < count:
        return
    found = fit_shapes(sizes, count)
    assert found.shape == (count, 2)
    order = random.sample(range(len(sizes)), len(sizes))
    np.testing.assert_array_equal(found, fit_shapes(sizes[order], count))
    np.testing.assert_array_equal(np.sort(found.prod(1)), found.prod(1))
    assert (found >= sizes.min(0) - 1e-5).all()
    assert (found <= sizes.max(0) + 1e-5).all()


@pytest.mark.parametrize(
    "sizes", [[[1, 1], [1, 1]], [[0, 3], [2, 2]], [[np.nan, 3], [2, 2]], np.zeros((0, 2))]
)
def test_says_what_sizes_it_cannot_use(sizes):
    with pytest.raises(ValueError, match="Received"):
        fit_shapes(np.array(sizes), 2)
