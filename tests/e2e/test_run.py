"""The main job as a user runs it."""

import json
import pathlib
import sqlite3
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

STAGES = [
    "example_gen",
    "statistics_gen",
    "schema_gen",
    "example_validator",
    "transform",
    "trainer",
    "evaluator",
    "infra_validator",
    "pusher",
    "model_card",
]


def test_summary(digits):
    summary = digits.summary
    assert [stage["name"] for stage in summary["stages"]] == STAGES
    assert digits.executed(summary) == STAGES
    assert (summary["quarantined"], summary["anomalies"], summary["blessed"]) == (0, 0, True)
    metrics = summary["metrics"]
    assert {"accuracy", "top5_accuracy", "average_precision_macro", "ece", "average_precision/7"} <= set(
        metrics
    )
    for metric in metrics.values():
        assert 0 <= metric["low"] <= metric["value"] + 1e-9 <= metric["high"] + 2e-9 <= 1 + 3e-9
    assert metrics["accuracy"]["value"] > 0.6  # ten classes, two epochs
    written = digits.workspace / "runs" / summary["run"] / "summary.json"
    assert json.loads(written.read_text()) == summary
    card = pathlib.Path(summary["model_card"])
    assert card.read_text().lower().startswith("<!doctype html>")
    assert (pathlib.Path(summary["pushed"]) / "saved_model.pb").is_file()
    assert not list((digits.workspace / "staging").iterdir())


def test_again_is_cached_and_imports_no_tensorflow(digits):
    code = (
        "import sys, conveyor\n"
        f"result = conveyor.run('digits_cnn', {list(digits.SMALL_CNN)!r},"
        f" workspace={str(digits.workspace)!r})\n"
        "assert all(stage.cached for stage in result.stages), result.stages\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(result.summary['metrics'] and 'ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "ok", done.stderr


def test_metrics_are_those_of_the_exported_model(digits):
    """Recomputed from the pushed model by hand, with scikit-learn as the oracle."""
    import sklearn.metrics
    import tensorflow as tf
    import tensorflow_datasets as tfds

    (dataset,) = digits.workspace.glob("artifacts/Examples/*/dataset")
    decoders = {"image": tfds.decode.SkipDecoding()}
    split = tfds.builder_from_directory(str(dataset)).as_dataset(split="test", decoders=decoders)
    rows = list(split.as_numpy_iterator())
    served = tf.saved_model.load(digits.summary["pushed"]).signatures["serving_default"]
    answers = served(images=tf.constant([row["image"] for row in rows]))
    scores, truth = answers["probabilities"].numpy(), np.array([row["label"] for row in rows])
    metrics = digits.summary["metrics"]
    accuracy = (scores.argmax(axis=1) == truth).mean()
    assert metrics["accuracy"]["value"] == pytest.approx(accuracy, abs=1e-12)
    for label in range(10):
        expected = sklearn.metrics.average_precision_score(truth == label, scores[:, label])
        assert metrics[f"average_precision/{label}"]["value"] == pytest.approx(expected, abs=1e-6)


def test_look_at_the_test_split_is_recorded_once(digits):
    with sqlite3.connect(digits.workspace / "metadata.sqlite") as store:
        looks = store.execute("SELECT split, purpose FROM looks ORDER BY split").fetchall()
    assert looks == [
        ("test", "report"),
        ("train", "report"),
        ("validation", "choose"),
        ("validation", "report"),
    ]


def test_history_commands(digits):
    run = digits.summary["run"]
    runs = json.loads(digits("runs", "--json").stdout)
    assert run in {row["name"] for row in runs}
    assert "accuracy" in digits("show", run).stdout
    (model,) = (digits.workspace / "artifacts" / "Model").iterdir()
    lineage = json.loads(digits("lineage", model.name[:12], "--json").stdout)
    assert lineage[0]["stage"] == "trainer"
    assert {record["stage"] for record in lineage} >= {"example_gen", "statistics_gen", "transform"}


def test_model_evaluate_predict(digits, tmp_path):
    options = [part for override in digits.SMALL_CNN for part in ("-o", override)]
    table = json.loads(digits("model", "digits_cnn", *options, "--json").stdout)
    conv = next(row for row in table["layers"] if row["type"] == "Conv2D")
    # 3x3 kernel, 1 channel in, 8 out: 9 * 8 weights + 8 biases; 2 operations per weight and position
    assert (conv["parameters"], conv["flops"], conv["receptive_field"]) == (80, 2 * 72 * 32 * 32, 3)

    again = json.loads(digits("evaluate", digits.summary["pushed"], "digits_cnn", *options, "--json").stdout)
    assert again["metrics"] == digits.summary["metrics"]

    PIL.Image.new("L", (32, 32)).save(tmp_path / "black.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    images = tmp_path / "black.png", tmp_path / "bad.png"
    rows = json.loads(digits("predict", digits.summary["pushed"], *images, "--json", code=2).stdout)
    assert sum(rows[0]["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert rows[0]["class_name"] == str(rows[0]["class_id"])
    assert "error" in rows[1]


def test_a_changed_setting_reruns_what_depends_on_it(copied):
    small = copied.SMALL_CNN
    judged = copied.run("digits_cnn", *small, "evaluator.bootstrap=50")
    # what is blessed is pushed, and the copy has a folder of its own for that
    assert copied.executed(judged) == ["evaluator", "infra_validator", "pusher", "model_card"]
    again = copied.run("digits_cnn", *small, extra=["--from", "transform"])
    # run anew, the same bytes: what lies behind has the same inputs
    assert copied.executed(again)[:2] == ["transform", "trainer"]
    assert again["metrics"] == copied.summary["metrics"]
    assert len(list((copied.workspace / "artifacts" / "Model").iterdir())) == 1
    until = copied.run("digits_cnn", *small, extra=["--until", "schema_gen"])
    assert [stage["name"] for stage in until["stages"]] == STAGES[:3]


def test_not_blessed_is_not_pushed_and_the_card_says_so(copied):
    bless = "evaluator.bless={metric: accuracy, at_least: 1.01}"
    serving = copied.workspace / "serving"
    before = sorted(serving.rglob("*"))
    summary = copied.run("digits_cnn", *copied.SMALL_CNN, bless, code=3)
    statuses = {stage["name"]: stage["status"] for stage in summary["stages"]}
    assert (statuses["evaluator"], statuses["pusher"]) == ("done", "blocked")
    assert (summary["blessed"], summary["pushed"]) == (False, None)
    assert "accuracy" in summary["error"]["what"]
    assert "not blessed" in pathlib.Path(summary["model_card"]).read_text().lower()
    assert sorted(serving.rglob("*")) == before
    assert copied.run("digits_cnn", *copied.SMALL_CNN, bless, code=3)["error"]


@pytest.mark.slow
def test_a_new_model_must_beat_the_last_blessed_one(copied):
    gate = [
        "evaluator.bless={metric: accuracy, at_least: 0.1}",
        "evaluator.against.model=last_blessed",
        "evaluator.slices=[class]",
    ]
    small = [*copied.SMALL_CNN, "trainer.epochs=6", *gate]

    def go(*more, code=0):
        return copied.run("digits_cnn", *small, *more, code=code)

    first = go()
    assert first["blessed"] is True
    with sqlite3.connect(copied.workspace / "metadata.sqlite") as store:
        ((before,),) = store.execute(
            "SELECT count(*) FROM looks WHERE split = 'test' AND purpose = 'report'"
        ).fetchall()
    assert copied.executed(go()) == []  # nothing to compare with but itself
    again = go("seed=1", code=3)
    assert again["blessed"] is False
    assert "last blessed model is undecided" in again["error"]["what"]
    card = pathlib.Path(again["model_card"]).read_text()
    assert "Gain over the last blessed model" in card
    assert f"The labels of test had been used to report {before} times before" in card
    assert copied.executed(go("seed=1", code=3)) == []
    worse = go("trainer.epochs=1", "trainer.optimizer.learning_rate=0.00001", code=3)
    assert "it is worse than the last blessed model (accuracy" in worse["error"]["what"]
    taken = go("seed=1", "evaluator.against.undecided=bless")
    assert taken["blessed"] is True
    (pushing,) = [stage for stage in taken["stages"] if stage["name"] == "pusher"]
    assert "answered unlike version 2: class_id" in pushing["notes"][0]
    assert go(code=3)["error"]  # the first model is now the newcomer
