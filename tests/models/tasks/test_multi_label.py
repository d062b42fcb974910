import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from conveyor.models.metrics.proportions import wilson
from conveyor.models.tasks.settings import MultiLabelSettings
from conveyor.models.tasks.task import make_task

NAMES = ["chat", "été", "猫"]
TRUTH = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 0], [0, 1, 0]], bool)
# right: all; all but 猫 said and été missed; nothing said where nothing is; été found
PROBABILITIES = np.array([[0.9, 0.1, 0.6], [0.8, 0.4, 0.7], [0.2, 0.3, 0.1], [0.1, 0.95, 0.5]], np.float32)


def make(**settings):
    return make_task(MultiLabelSettings(kind="multi_label", **settings), NAMES)


def test_threshold_is_told():
    assert make().thresholds() == {"probabilities": 0.5}


def outputs_of(probabilities):
    return {
        "probabilities": probabilities,
        "present": probabilities > 0.5,
        "class_name": np.where(probabilities > 0.5, np.array(NAMES), ""),
    }


def records():
    return make().record(TRUTH, outputs_of(PROBABILITIES))


def example(*labels):
    return {"objects": {"label": tf.constant(labels, tf.int64)}}


@pytest.mark.parametrize(("labels", "expected"), [((), [0, 0, 0]), ((2, 0, 2), [1, 0, 1]), ((1,), [0, 1, 0])])
def test_classes_of_the_objects_are_there(labels, expected):
    task = make()
    found = task.annotations(example(*labels), {}, tf.constant([8, 8]))["labels"]
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(task.truth(example(*labels)), np.array(expected, bool))


def test_loss_worked_by_hand():
    """Logit 0 is p = 1/2: every answer costs ln 2. With smoothing 0.2 the target of 1 is 0.9: at p = 0.8
    that costs -(0.9 ln 0.8 + 0.1 ln 0.2) = 0.3618. Focal, gamma 2: (1/2)^2 ln 2."""
    targets = np.float32([[1, 0, 1]])
    zeros = np.zeros((1, 3), np.float32)
    assert float(make().loss()(targets, zeros)) == pytest.approx(np.log(2), rel=1e-5)
    logit = np.float32([[np.log(4)]])
    assert float(make(label_smoothing=0.2).loss()(np.float32([[1]]), logit)) == pytest.approx(
        0.3618, abs=1e-4
    )
    assert float(make(loss="focal").loss()(targets, zeros)) == pytest.approx(np.log(2) / 4, rel=1e-5)


def test_watched_accuracy_is_over_examples_and_classes():
    (accuracy,) = make().metrics()
    accuracy.update_state(TRUTH.astype(np.float32), np.log(PROBABILITIES / (1 - PROBABILITIES)))
    assert isinstance(accuracy, keras.metrics.Metric)
    assert float(accuracy.result()) == pytest.approx(10 / 12)


def test_decoding_in_a_graph():
    task, logits = make(), np.float32([[0.1, -2, 3], [-1, -1, -1]])
    found = tf.function(lambda raw: task.decode(raw, raw, {}))(logits)
    np.testing.assert_allclose(found["probabilities"], 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert found["present"].numpy().tolist() == [[True, False, True], [False] * 3]
    named = [[name.decode() for name in row] for row in found["class_name"].numpy()]
    assert named == [["chat", "", "猫"], ["", "", ""]]


def test_metrics_worked_by_hand_and_by_scikit_learn():
    found = make().evaluate(records(), 50, 0)
    values = {name: row["value"] for name, row in found.items()}
    assert values["subset_accuracy"] == 3 / 4  # all but the second image
    assert values["label_accuracy"] == pytest.approx(10 / 12)
    # chat: 0.9+ 0.8+ 0.2- 0.1-; été: 0.95+ 0.4+ 0.3- 0.1-; 猫: 0.7- 0.6+ 0.5- 0.1-
    assert values["average_precision/chat"] == values["average_precision/été"] == 1
    assert values["average_precision/猫"] == 1 / 2
    assert values["average_precision_macro"] == pytest.approx(2.5 / 3)
    assert values["average_precision_weighted"] == pytest.approx((2 + 2 + 1 / 2) / 5)
    for average in ("micro", "macro", "weighted"):
        expected = sklearn.metrics.roc_auc_score(TRUTH, PROBABILITIES, average=average)
        assert values[f"roc_auc_{average}"] == pytest.approx(expected, abs=1e-12)
    assert (found["subset_accuracy"]["low"], found["subset_accuracy"]["high"]) == wilson(0.75, 4)
    assert values == make().measure(records())


def test_weights_are_repeats():
    weights = np.array([[2, 0, 1, 1]], np.int32)
    repeated = {name: np.repeat(column, weights[0], axis=0) for name, column in records().items()}
    expected = make().measure(repeated)
    for name, values in make().weighted(records())(weights).items():
        wanted = np.nan if expected[name] is None else expected[name]
        assert values[0] == pytest.approx(wanted, nan_ok=True), name


def test_badness_caption_and_plots():
    task = make()
    # right answers: least sure by 0.6 of 猫, by 0.3 of été, by 0.5 of 猫
    np.testing.assert_allclose(task.badness(records()), [-0.6, 0.7, -0.7, -0.5], atol=1e-6)
    rows = [{name: column[row] for name, column in records().items()} for row in range(4)]
    assert task.caption(rows[1]) == "has chat (0.800); missed été (0.400); wrongly said 猫 (0.700)"
    assert task.caption(rows[2]) == "nothing is there, nothing was said"
    precision, roc, counts = task.plots(records(), 20)
    assert (precision["kind"], roc["kind"]) == ("lines", "lines")
    assert counts["groups"] == {
        "found": {"chat": 2, "été": 1, "猫": 1},
        "missed": {"chat": 0, "été": 1, "猫": 0},
        "wrongly said": {"chat": 0, "été": 0, "猫": 1},
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: o, ""),
        (lambda o: {"probabilities": o["probabilities"]}, "no `present`"),
        (lambda o: {**o, "probabilities": o["probabilities"][:, :2]}, "3 classes"),
        (lambda o: {**o, "probabilities": o["probabilities"] * np.nan}, "no numbers"),
        (lambda o: {**o, "class_name": np.array([["dog"]])}, "dog"),
    ],
)
def test_outputs_that_do_not_fit_are_told(change, said):
    problem = make().check(change(outputs_of(PROBABILITIES)))
    assert said in problem
    assert bool(problem) is bool(said)
