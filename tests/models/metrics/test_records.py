import numpy as np

from conveyor.models.metrics.records import join


def test_rows_of_different_lengths_are_filled_up():
    first = {"labels": np.array([[3, 1]]), "crowd": np.array([[True, True]]), "score": np.array([0.5])}
    second = {"labels": np.zeros((2, 0), int), "crowd": np.zeros((2, 0), bool), "score": np.array([0.1, 0.2])}
    found = join([first, second])
    np.testing.assert_array_equal(found["labels"], [[3, 1], [-1, -1], [-1, -1]])
    np.testing.assert_array_equal(found["crowd"], [[True, True], [False, False], [False, False]])
    np.testing.assert_array_equal(found["score"], [0.5, 0.1, 0.2])


def test_rows_of_one_shape_stay():
    part = {"name": np.array(["cat", "a"]), "boxes": np.arange(16.0).reshape(2, 2, 4)}
    found = join([part, part])
    np.testing.assert_array_equal(found["boxes"], np.concatenate([part["boxes"]] * 2))
    assert found["name"].tolist() == ["cat", "a", "cat", "a"]
