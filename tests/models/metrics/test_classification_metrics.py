import numpy as np
import pytest
import sklearn.metrics

from conveyor.models.metrics import classification as metrics


def random_case(seed, size=200, classes=4):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(size, classes)) * random.uniform(0.2, 4)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32), random.integers(0, classes, size), random


# === calibration ===


def error_by_loop(probabilities, labels, weights):
    """Equation 3 of Guo et al., word for word."""
    total, error = sum(weights), 0.0
    for number in range(15):
        members = [i for i, row in enumerate(probabilities) if number / 15 < max(row) <= (number + 1) / 15]
        size = sum(weights[i] for i in members)
        if size:
            accuracy = sum(weights[i] * (row_best(probabilities[i]) == labels[i]) for i in members) / size
            confidence = sum(weights[i] * float(max(probabilities[i])) for i in members) / size
            error += size / total * abs(accuracy - confidence)
    return error


def row_best(row):
    return max(range(len(row)), key=lambda label: (row[label], -label))


@pytest.mark.parametrize("seed", range(6))
def test_calibration_error_equals_a_plain_loop(seed):
    probabilities, labels, random = random_case(seed)
    weights = np.stack([np.ones(200, np.int32), random.integers(0, 4, 200).astype(np.int32)])
    expected = [error_by_loop(probabilities, labels, row) for row in weights]
    np.testing.assert_allclose(metrics.calibration_error(probabilities, labels, weights), expected, atol=1e-6)


def test_calibration_error_worked_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.1, 0.9], [0.62, 0.38], [0.35, 0.65]])
    labels = np.array([0, 0, 1, 1])
    # 0.9 and 0.9 share the bin (13/15, 14/15]: half is right. 0.62 and 0.65 share (9/15, 10/15]:
    # half is right, 0.635 was claimed.
    expected = 2 / 4 * abs(0.5 - 0.9) + 2 / 4 * abs(0.5 - 0.635)
    found = metrics.calibration_error(probabilities, labels, np.ones((1, 4)))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("confidence", "bin_"),
    [(1.0, 14), (14 / 15, 13), (0.2, 2), (0.2001, 3), (0.0667, 1), (0.05, 0), (0.0, 0)],
)
def test_bins_hold_their_upper_edge(confidence, bin_):
    row = np.full((1, 40), 0.0)
    row[0, 3] = confidence
    assert metrics.calibration_bins(row) == bin_


def test_perfectly_sure_and_right_or_wrong():
    probabilities = np.eye(3)[[0, 1, 2]]
    weights = np.ones((1, 3))
    assert metrics.calibration_error(probabilities, np.array([0, 1, 2]), weights) == 0
    assert metrics.calibration_error(probabilities, np.array([1, 2, 0]), weights) == 1


@pytest.mark.parametrize("seed", range(3))
def test_reliability_adds_up_to_accuracy_confidence_and_error(seed):
    probabilities, labels, _ = random_case(seed)
    bins = metrics.reliability(probabilities, labels)
    count = np.array([row["count"] for row in bins])
    assert count.sum() == len(labels)
    assert all(row["count"] > 0 for row in bins)
    confidence = np.array([row["confidence"] for row in bins])
    accuracy = np.array([row["accuracy"] for row in bins])
    assert np.all(np.diff(confidence) > 0)
    assert count @ accuracy / 200 == pytest.approx((probabilities.argmax(1) == labels).mean())
    assert count @ confidence / 200 == pytest.approx(probabilities.max(1).mean(), abs=1e-6)
    error = metrics.calibration_error(probabilities, labels, np.ones((1, 200)))[0]
    assert count @ abs(accuracy - confidence) / 200 == pytest.approx(error, abs=1e-6)


# === accuracies ===


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("decimals", [1, 6])
def test_top_k_equals_scikit_learn(k, decimals):
    random = np.random.default_rng(k)
    scores, labels = random.uniform(size=(80, 6)).round(decimals), random.integers(0, 6, 80)
    weights = random.integers(0, 4, (3, 80))
    # there, the last of equal scores comes first; here the first, as in argmax
    expected = [
        sklearn.metrics.top_k_accuracy_score(
            5 - labels, scores[:, ::-1], k=k, labels=range(6), sample_weight=row
        )
        for row in weights
    ]
    np.testing.assert_allclose(metrics.top_k_accuracy(scores, labels, k, weights), expected, atol=1e-12)


def test_top_1_is_accuracy_and_top_all_is_1_with_ties_too():
    random = np.random.default_rng(1)
    scores, labels, ones = random.integers(0, 3, (50, 4)) / 2, random.integers(0, 4, 50), np.ones((1, 50))
    assert metrics.top_k_accuracy(scores, labels, 1, ones)[0] == (scores.argmax(axis=1) == labels).mean()
    assert metrics.top_k_accuracy(scores, labels, 4, ones)[0] == 1


def test_classes_ahead_worked_by_hand():
    scores = np.array([[0.5, 0.2, 0.3], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.1, 0.1, 0.1]])
    assert metrics.classes_ahead(scores, np.array([1, 0, 1, 2])).tolist() == [2, 0, 1, 2]


def test_multilabel_accuracy_worked_by_hand_and_by_scikit_learn():
    scores = np.array([[0.9, 0.1, 0.6], [0.9, 0.5, 0.6], [0.2, 0.3, 0.4]])
    truth = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 0]])
    # right answers: 3 of 3 (0.5 is not above 0.5), 1 of 3, 3 of 3
    found = metrics.multilabel_accuracy(scores, truth, np.array([[1, 1, 1], [2, 1, 0]]))
    np.testing.assert_allclose(found["subset_accuracy"], [2 / 3, 2 / 3])
    np.testing.assert_allclose(found["label_accuracy"], [7 / 9, (2 * 1 + 1 / 3) / 3])
    assert found["subset_accuracy"][0] == pytest.approx(sklearn.metrics.accuracy_score(truth, scores > 0.5))
    assert found["label_accuracy"][0] == pytest.approx(1 - sklearn.metrics.hamming_loss(truth, scores > 0.5))


# === counts ===


@pytest.mark.parametrize("classes", [2, 3, 11])
def test_confusion_matrix_equals_scikit_learn(classes):
    random = np.random.default_rng(classes)
    truth = random.integers(0, classes - 1, 60)  # the last class has no example
    predicted = random.integers(0, classes, 60)
    expected = sklearn.metrics.confusion_matrix(truth, predicted, labels=range(classes))
    np.testing.assert_array_equal(metrics.confusion_matrix(predicted, truth, classes), expected)
