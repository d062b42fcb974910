import numpy as np

from conveyor.models.metrics.means import mean_of_defined


def test_means_worked_by_hand():
    values = np.array([[0.2, np.nan, 0.6], [np.nan, np.nan, np.nan], [1.0, 0.0, 0.5]])
    np.testing.assert_allclose(mean_of_defined(values), [0.4, np.nan, 0.5])
    weights = np.array([[1, 5, 3], [1, 1, 1], [0, 0, 0]])
    np.testing.assert_allclose(mean_of_defined(values, weights), [(0.2 + 3 * 0.6) / 4, np.nan, np.nan])


def test_one_row_under_many_weightings():
    found = mean_of_defined(np.array([0.5, np.nan, 1.0]), np.array([[1, 1, 1], [3, 0, 1], [0, 9, 0]]))
    np.testing.assert_allclose(found, [0.75, (1.5 + 1) / 4, np.nan])
