import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from conveyor.models.metrics.bootstrap import interval, resamples
from conveyor.models.metrics.proportions import score_interval, wilson
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task

NAMES = ["chat", "été", "猫", "a/b", "e", "f", "g"]


def make(classes=3, **settings):
    return make_task(ClassificationSettings(**settings), NAMES[:classes])


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def random_case(classes=3, size=60, seed=0):
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, size)
    logits = random.normal(size=(size, classes)) + 1.5 * np.eye(classes)[truth]
    return truth, outputs_of(softmax(logits).astype(np.float32), classes)


def together(truth, outputs):
    return make().record(truth, outputs)


def outputs_of(probabilities, classes=3):
    best = probabilities.argmax(axis=1)
    return {
        "probabilities": probabilities,
        "class_id": best,
        "class_name": np.array(NAMES[:classes])[best],
    }


# === training and serving ===


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_equals_cross_entropy_of_the_smoothed_target(smoothing):
    task = make(label_smoothing=smoothing)
    logits = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    labels = [0, 2, 1, 1, 0]
    targets = tf.stack(
        [task.annotations({"label": tf.constant(label, tf.int64)}, {}, None)["labels"] for label in labels]
    )
    wanted = np.eye(3)[labels] * (1 - smoothing) + smoothing / 3
    expected = -(wanted * np.log(softmax(logits))).sum(axis=1).mean()
    assert float(task.loss()(targets, logits)) == pytest.approx(expected, rel=1e-5)


def test_focal_loss_weighs_by_what_is_missing():
    """Logits (0, 0, 0): p = 1/3, so the loss is (2/3)^2 * ln 3 = 0.4883."""
    targets, logits = np.eye(3)[[1]], np.zeros((1, 3), np.float32)
    assert float(make(loss="focal").loss()(targets, logits)) == pytest.approx(4 / 9 * np.log(3), rel=1e-5)
    plain = make(loss="focal", focal_gamma=0).loss()(targets, logits)
    assert float(plain) == pytest.approx(np.log(3), rel=1e-5)


def test_watched_accuracy_is_the_share_of_right_answers():
    (accuracy,) = make().metrics()
    accuracy.update_state(np.eye(3)[[0, 1, 2, 2]], np.eye(3)[[0, 1, 1, 2]] * 9)
    assert (accuracy.name, float(accuracy.result())) == ("accuracy", 0.75)
    assert isinstance(accuracy, keras.metrics.Metric)


def test_decoding_in_a_graph_equals_numpy():
    task = make()
    logits = (np.random.default_rng(2).normal(size=(40, 3)) * 20).astype(np.float32)
    decode = tf.function(task.decode, input_signature=[*[tf.TensorSpec([None, 3], tf.float32)] * 2, {}])
    found = {name: tensor.numpy() for name, tensor in decode(logits, logits, {}).items()}
    expected = softmax(logits.astype(np.float64))
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    np.testing.assert_array_equal(found["class_id"], logits.argmax(axis=1))
    assert found["class_id"].dtype == np.int64
    assert [name.decode() for name in found["class_name"]] == [NAMES[i] for i in logits.argmax(axis=1)]
    assert set(found["class_id"]) == {0, 1, 2}


def test_truth_is_the_label():
    example = {"label": tf.constant(2, tf.int64), "image": tf.constant(b"")}
    assert make().truth(example).numpy() == 2


# === evaluation ===


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_measure_equals_scikit_learn(classes):
    truth, outputs = random_case(classes)
    found = make(classes).measure(together(truth, outputs))
    probabilities = outputs["probabilities"]
    precisions = {
        f"average_precision/{name}": sklearn.metrics.average_precision_score(truth == i, probabilities[:, i])
        for i, name in enumerate(NAMES[:classes])
    }
    areas = {
        f"roc_auc/{name}": sklearn.metrics.roc_auc_score(truth == i, probabilities[:, i])
        for i, name in enumerate(NAMES[:classes])
    }
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(truth, outputs["class_id"]),
        **precisions,
        **areas,
    }
    counts, one_hot = np.bincount(truth, minlength=classes), np.eye(classes, dtype=int)[truth]
    for metric, own, oracle in (
        ("average_precision", precisions, sklearn.metrics.average_precision_score),
        ("roc_auc", areas, sklearn.metrics.roc_auc_score),
    ):
        values = np.array(list(own.values()))
        expected[f"{metric}_macro"] = values.mean()
        expected[f"{metric}_weighted"] = values @ counts / counts.sum()
        expected[f"{metric}_micro"] = oracle(one_hot.ravel(), probabilities.ravel())
    if classes > 5:
        expected["top5_accuracy"] = sklearn.metrics.top_k_accuracy_score(truth, probabilities, k=5)
    ece = found.pop("ece")
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 <= ece <= 1
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize(("classes", "there"), [(5, False), (6, True)])
def test_top5_only_where_it_says_something(classes, there):
    truth, outputs = random_case(classes)
    assert ("top5_accuracy" in make(classes).measure(together(truth, outputs))) is there


def test_equal_scores_count_as_ranked_by_label_in_accuracy_and_top5():
    truth = np.arange(7)
    found = make(7).measure(together(truth, outputs_of(np.full((7, 7), 1 / 7), 7)))
    assert found["accuracy"] == pytest.approx(1 / 7)
    assert found["top5_accuracy"] == pytest.approx(5 / 7)
    assert found["average_precision_macro"] == pytest.approx(1 / 7)


@pytest.mark.parametrize("classes", [3, 7])
def test_evaluate_agrees_with_measure_and_its_intervals_hold_the_value(classes):
    truth, outputs = random_case(classes)
    task = make(classes)
    found = task.evaluate(together(truth, outputs), 300, seed=4)
    assert {name: row["value"] for name, row in found.items()} == task.measure(together(truth, outputs))
    for name, row in found.items():
        assert set(row) == {"value", "low", "high"}
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1, name
    assert found["accuracy"]["low"] < found["accuracy"]["high"]


def test_intervals_are_those_of_resampled_examples():
    truth, outputs = random_case()
    found = make().evaluate(together(truth, outputs), 100, seed=9)
    correct = outputs["class_id"] == truth
    accuracies, precisions = [], []
    for weights in np.concatenate(list(resamples(len(truth), 100, 9))):
        accuracies.append((weights * correct).sum() / len(truth))
        scores = np.repeat(outputs["probabilities"][:, 1], weights)
        precisions.append(sklearn.metrics.average_precision_score(np.repeat(truth == 1, weights), scores))
    row = found["accuracy"]  # of independent examples: no resamples needed
    assert (row["low"], row["high"]) == wilson(row["value"], len(truth))
    assert row["high"] - row["low"] == pytest.approx(np.subtract(*interval(np.array(accuracies))[::-1]), 0.2)
    row = found["average_precision/été"]
    expected = score_interval(row["value"], np.array(precisions), int((truth == 1).sum()))
    assert (row["low"], row["high"]) == pytest.approx(expected, abs=1e-12)


def test_groups_are_resampled_where_told():
    truth, outputs = random_case()
    groups = np.arange(len(truth)) // 6
    apart, together_ = (make().evaluate(together(truth, outputs), 200, 0, units) for units in (None, groups))
    for name in ("accuracy", "average_precision_macro"):
        assert apart[name]["value"] == together_[name]["value"]
        assert apart[name]["low"] != together_[name]["low"], name


def test_a_perfect_model_has_intervals_with_a_width():
    truth = np.arange(60) % 3
    found = make().evaluate(together(truth, outputs_of(np.eye(3)[truth] * 0.8 + 0.05)), 50, 0)
    for name in ("accuracy", "average_precision_macro", "average_precision/été", "roc_auc_micro"):
        assert found[name]["value"] == found[name]["high"] == pytest.approx(1)
        assert found[name]["low"] < 0.96, name
    assert found["average_precision/été"]["low"] < found["average_precision_macro"]["low"]


def test_seed_decides_intervals_and_nothing_else():
    truth, outputs = random_case()
    task = make()
    assert task.evaluate(together(truth, outputs), 50, 1) == task.evaluate(together(truth, outputs), 50, 1)
    one, other = (
        task.evaluate(together(truth, outputs), 50, 1),
        task.evaluate(together(truth, outputs), 50, 2),
    )
    assert one != other
    assert {k: v["value"] for k, v in one.items()} == {k: v["value"] for k, v in other.items()}


def test_without_resampling_there_are_values_and_no_intervals():
    truth, outputs = random_case()
    found = make().evaluate(together(truth, outputs), 0, seed=0)
    assert all(row["low"] is None and row["high"] is None for row in found.values())
    assert found["accuracy"]["value"] == pytest.approx((outputs["class_id"] == truth).mean())


def test_class_without_examples_has_no_precision_and_is_left_out_of_the_mean():
    truth, outputs = random_case()
    truth = np.where(truth == 1, 2, truth)
    found = make().evaluate(together(truth, outputs), 50, seed=0)
    assert found["average_precision/été"] == {"value": None, "low": None, "high": None}
    present = [found[f"average_precision/{name}"]["value"] for name in ("chat", "猫")]
    assert found["average_precision_macro"]["value"] == pytest.approx(np.mean(present))
    assert found["average_precision_macro"]["low"] is not None


def test_class_of_one_example_has_no_interval():
    truth, outputs = random_case()
    truth = np.where(truth == 1, 2, truth)
    truth[0] = 1
    row = make().evaluate(together(truth, outputs), 200, seed=0)["average_precision/été"]
    assert 0 < row["value"] <= 1
    assert row["low"] is row["high"] is None


@pytest.mark.parametrize("right", [True, False])
def test_split_of_one_example(right):
    truth = np.array([1])
    outputs = outputs_of(np.array([[0.2, 0.7, 0.1] if right else [0.7, 0.2, 0.1]]))
    task = make()
    found = task.evaluate(together(truth, outputs), 20, seed=0)
    assert found["accuracy"] == {"value": float(right), "low": None, "high": None}
    assert found["average_precision/été"]["value"] == 1.0  # nothing ranks above it
    assert found["average_precision/chat"]["value"] is None
    assert len(task.plots(together(truth, outputs), 20)) == 4


# === gallery and plots ===


def test_badness_grows_with_the_error_and_is_below_zero_for_right_answers():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [0.5, 0.4, 0.1]])
    badness = make().badness(together(np.array([0, 1, 1, 2]), outputs_of(probabilities)))
    np.testing.assert_allclose(badness, [-0.9, 0.9, 0.6, 0.9])


def test_caption_tells_truth_answer_and_their_probabilities():
    record = {"targets": 1, "probabilities": np.array([0.125, 0.25, 0.625])}
    assert make().caption(record) == "is été (0.250), taken for 猫 (0.625)"
    assert make().caption({**record, "targets": 2}) == "is 猫 (0.625)"


def test_plots_hold_curve_matrix_and_reliability():
    truth, outputs = random_case()
    curves, roc, matrix, reliability = make().plots(together(truth, outputs), 100)
    for plot in (curves, roc):
        assert [series["name"] for series in plot["series"]] == NAMES[:3]
        for series in plot["series"]:
            assert np.all(np.array(series["low"]) <= series["y"])
            assert np.all(np.array(series["high"]) >= series["y"])
    assert (curves["x"], curves["y"]) == ("recall", "precision")
    assert (roc["x"], roc["y"]) == ("false positive rate", "true positive rate")
    assert make().plots(together(truth, outputs))[0]["series"][0]["low"] == []
    expected = sklearn.metrics.confusion_matrix(truth, outputs["class_id"])
    assert (matrix["labels"], matrix["values"]) == (NAMES[:3], expected.tolist())
    model, diagonal = reliability["series"]
    assert len(model["x"]) == len(model["y"])
    assert diagonal["x"] == diagonal["y"] == [0, 1]


def test_curves_are_of_the_classes_with_the_lowest_precision():
    classes = [f"c{i}" for i in range(14)]
    task = make_task(ClassificationSettings(), classes)
    random = np.random.default_rng(5)
    truth = random.integers(0, 13, 300)  # c13 has no example
    probabilities = softmax(random.normal(size=(300, 14)) + np.eye(14)[truth] * np.arange(14))
    values = task.measure(together(truth, outputs_of_names(probabilities, classes)))
    defined = sorted(classes[:13], key=lambda name: values[f"average_precision/{name}"])
    curves = task.plots(together(truth, outputs_of_names(probabilities, classes)))[0]
    assert {series["name"] for series in curves["series"]} == set(defined[:6])


def outputs_of_names(probabilities, names):
    best = probabilities.argmax(axis=1)
    return {"probabilities": probabilities, "class_id": best, "class_name": np.array(names)[best]}


# === fitness ===


def test_outputs_that_fit_have_no_problem():
    _, outputs = random_case()
    assert make().check(outputs) == ""
    assert make().check({"probabilities": outputs["probabilities"]}) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: {"logits": o["probabilities"]}, "no `probabilities`"),
        (lambda o: {**o, "probabilities": o["probabilities"][:, :2]}, "3 classes"),
        (lambda o: {**o, "probabilities": o["probabilities"][:, 0]}, "3 classes"),
        (lambda o: {**o, "probabilities": o["probabilities"] * np.nan}, "no numbers"),
        (lambda o: {**o, "probabilities": o["probabilities"] / 0}, "no numbers"),
        (lambda o: {**o, "class_name": np.array(["猫", "été", "chat"])[o["class_id"]]}, "'猫' for 'chat'"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_outputs_that_do_not_fit_are_told(change, said):
    _, outputs = random_case()
    assert said in make().check(change(outputs))


# === a tree of classes ===

TREE = {"tree": {"beast": ["chat", "été"], "other": ["猫"]}}


def test_tree_adds_its_metrics_and_its_loss():
    """Of four answers two are right; 0 for 1 is wrong by one step, 0 for 2 by two: (1 + 2) / 2 = 1.5."""
    task = make(hierarchy=TREE)
    outputs = outputs_of(np.eye(3)[[0, 0, 0, 2]])
    found = task.measure(together(np.array([0, 1, 2, 2]), outputs))
    assert found["accuracy"] == 0.5
    assert found["hierarchical_distance"] == 1.5
    assert found["accuracy_level_1"] == 0.75
    assert type(task.loss()).__name__ == "ConditionalCrossentropy"
    assert type(make(hierarchy={**TREE, "loss": "none"}).loss()).__name__ == "CategoricalCrossentropy"
    assert type(make(hierarchy={**TREE, "loss": "none"}, loss="focal").loss()).__name__ == "FocalCrossentropy"


def test_without_mistakes_there_is_no_distance():
    truth = np.array([0, 1, 2])
    task = make(hierarchy=TREE)
    found = task.evaluate(together(truth, outputs_of(np.eye(3)[truth])), 20, seed=0)
    assert found["hierarchical_distance"] == {"value": None, "low": None, "high": None}


def test_tree_of_other_classes_is_told():
    with pytest.raises(ValueError, match="did you mean 'chat'"):
        make(hierarchy={"tree": {"beast": ["chatt", "été"], "other": ["猫"]}})
