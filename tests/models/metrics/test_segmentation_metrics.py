import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import sklearn.metrics

from conveyor.models.metrics.segmentation import VOID, confusion, region_metrics

CLASSES = 3
NAMES = ["sky", "road", "car"]
MEANS = ("mean_iou", "frequency_weighted_iou", "pixel_accuracy", "mean_class_accuracy", "mean_dice")


@st.composite
def masks(draw, most=5):
    """Truth with void, and predictions, of a few small images of one size."""
    shape = draw(st.integers(1, most)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    size = int(np.prod(shape))
    values = st.sampled_from([0, 1, 2, VOID])
    truth = np.array(draw(st.lists(values, min_size=size, max_size=size)), np.uint8).reshape(shape)
    labels = st.integers(0, draw(st.integers(0, 2)))  # now and then without the last classes
    predicted = np.array(draw(st.lists(labels, min_size=size, max_size=size))).reshape(shape)
    hypothesis.assume((truth != VOID).any())
    return truth, predicted


def confusions(truth, predicted):
    return np.stack([confusion(*pair, CLASSES) for pair in zip(truth, predicted, strict=True)])


def measured(counts, weights=None):
    weights = np.ones(len(counts)) if weights is None else np.asarray(weights)
    return {name: values[0] for name, values in region_metrics(counts, weights[None], NAMES).items()}


def test_golden_worked_by_hand():
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, VOID]])
    predicted = np.array([[0, 0, 1, 0], [0, 1, 1, 2]])
    counts = confusion(truth, predicted, CLASSES)
    assert counts.tolist() == [[3, 1, 0], [1, 2, 0], [0, 0, 0]]  # the void pixel, taken for 2, is nowhere
    found = measured(counts[None])
    # sky: 3 right of 4 true and 4 predicted, union 5; road: 2 right of 3 and 3, union 4
    assert found["iou/sky"] == pytest.approx(3 / 5)
    assert found["iou/road"] == pytest.approx(2 / 4)
    assert np.isnan(found["iou/car"])
    assert found["mean_iou"] == pytest.approx((3 / 5 + 2 / 4) / 2)  # over the two that are there
    assert found["frequency_weighted_iou"] == pytest.approx(4 / 7 * 3 / 5 + 3 / 7 * 2 / 4)
    assert found["pixel_accuracy"] == pytest.approx(5 / 7)
    assert found["mean_class_accuracy"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert found["dice/sky"] == pytest.approx(2 * 3 / (4 + 4))
    assert found["mean_dice"] == pytest.approx((2 * 3 / 8 + 2 * 2 / 6) / 2)


def test_a_class_that_is_only_predicted_counts_for_iou_but_not_for_accuracy():
    found = measured(confusion(np.array([[0, 0]]), np.array([[0, 2]]), CLASSES)[None])
    assert found["iou/car"] == 0
    assert found["mean_iou"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["mean_class_accuracy"] == pytest.approx(1 / 2)
    assert found["frequency_weighted_iou"] == pytest.approx(1 / 2)


@hypothesis.given(masks())
@hypothesis.settings(deadline=None)
def test_equals_scikit_learn(case):
    truth, predicted = case
    known = truth != VOID
    flat = truth[known], predicted[known]
    counts = confusions(*case)
    expected = sklearn.metrics.confusion_matrix(*flat, labels=range(CLASSES))
    np.testing.assert_array_equal(counts.sum(axis=0), expected)
    found = measured(counts)
    there, true = np.union1d(*flat), np.unique(flat[0])
    oracles = {
        "mean_iou": sklearn.metrics.jaccard_score(*flat, labels=there, average="macro"),
        "frequency_weighted_iou": sklearn.metrics.jaccard_score(*flat, labels=true, average="weighted"),
        "pixel_accuracy": sklearn.metrics.accuracy_score(*flat),
        "mean_class_accuracy": sklearn.metrics.recall_score(*flat, labels=true, average="macro"),
        "mean_dice": sklearn.metrics.f1_score(*flat, labels=there, average="macro"),
    }
    for name, value in oracles.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    for label, iou in zip(
        there, sklearn.metrics.jaccard_score(*flat, labels=there, average=None), strict=True
    ):
        assert found[f"iou/{NAMES[label]}"] == pytest.approx(iou, abs=1e-12)


@hypothesis.given(masks(), st.data())
def test_weights_are_repetitions(case, data):
    counts = confusions(*case)
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(counts), max_size=len(counts)))
    hypothesis.assume(counts[np.array(weights) > 0].any())
    again = measured(np.repeat(counts, weights, axis=0))
    for name, value in measured(counts, weights).items():
        np.testing.assert_allclose(value, again[name], rtol=0, atol=1e-12)


@hypothesis.given(masks(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_order_and_shards_do_not_matter(case, shards, random):
    counts = confusions(*case)
    order = random.sample(range(len(counts)), len(counts))
    merged = np.stack([counts[order][start::shards].sum(axis=0) for start in range(shards)])
    whole = measured(counts)
    for name, value in measured(merged).items():
        np.testing.assert_allclose(value, whole[name], rtol=0, atol=1e-12)


@hypothesis.given(masks())
def test_perfect_is_one_and_other_names_of_classes_change_no_mean(case):
    truth, predicted = case
    perfect = measured(confusions(truth, np.where(truth == VOID, 1, truth)))
    assert [perfect[name] for name in MEANS] == [1.0] * len(MEANS)
    names = np.array([2, 0, 1])
    turned = measured(confusions(np.where(truth == VOID, VOID, names[truth % VOID]), names[predicted]))
    plain = measured(confusions(truth, predicted))
    for name in MEANS:
        assert turned[name] == pytest.approx(plain[name], abs=1e-12)


def test_nothing_but_void_is_not_judged():
    found = measured(confusion(np.full((2, 2), VOID), np.zeros((2, 2), int), CLASSES)[None])
    assert all(np.isnan(value) for value in found.values())


def test_another_void_value():
    truth = np.array([[0, 1, 1]])
    assert confusion(truth, truth, 2, void=0).tolist() == [[0, 0], [0, 2]]
    assert confusion(np.array([[-1, 1]]), np.array([[0, 1]]), 2, void=-1).sum() == 1


@pytest.mark.parametrize(
    ("truth", "predicted", "words"),
    [
        ([[0, 3]], [[0, 0]], r"truth of classes 0 to 2. Received: \[3\]"),
        ([[0, 1]], [[0, 255]], r"predicted of classes 0 to 2. Received: \[255\]"),
        ([[0, 1]], [[0, -1]], r"predicted of classes 0 to 2. Received: \[-1\]"),
        ([[0, 1]], [[0], [1]], "one size"),
    ],
)
def test_bad_masks_are_refused(truth, predicted, words):
    with pytest.raises(ValueError, match=words):
        confusion(np.array(truth), np.array(predicted), CLASSES)
