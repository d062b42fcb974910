import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.metrics import reconstruction as metrics
from conveyor.models.tasks.settings import ReconstructionSettings
from conveyor.models.tasks.task import make_task


def make(**settings):
    return make_task(ReconstructionSettings(kind="reconstruction", **settings), ["a", "b"])


def images(count=5, side=12, channels=1, seed=0):
    return np.random.default_rng(seed).random((count, side, side + 2, channels), np.float32)


def png(pixels):
    return tf.io.encode_png(tf.constant(np.round(pixels * 255).astype(np.uint8))).numpy()


def served(task, inputs, found):
    code = np.zeros((len(inputs), 3), np.float32)
    outputs = task.decode(tf.constant(inputs), {"reconstruction": tf.constant(found), "code": code}, {})
    return {name: np.asarray(values) for name, values in outputs.items()}


# === metrics ===


def test_metrics_worked_by_hand():
    """Two pixels, 0 and 1, taken for 0.25 and 0.5.

    bce = -(ln 0.75 + ln 0.5) / 2 = (0.287682 + 0.693147) / 2 = 0.490415
    mse = (0.0625 + 0.25) / 2 = 0.15625; psnr = -10 log10 0.15625 = 8.0618
    """
    truth, found = (np.float32(pair).reshape(1, 1, 2, 1) for pair in ([0, 1], [0.25, 0.5]))
    assert metrics.binary_crossentropy(truth, found) == pytest.approx([0.490415], abs=1e-6)
    error = metrics.squared_error(truth, found)
    assert error == pytest.approx([0.15625])
    assert metrics.peak_signal_to_noise(error) == pytest.approx([8.0618], abs=1e-4)


def test_metrics_against_keras_and_tensorflow():
    truth, found = images(seed=1), images(seed=2)
    bce = keras.losses.BinaryCrossentropy(reduction=None)(truth, found).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(metrics.binary_crossentropy(truth, found), bce, rtol=1e-5)
    psnr = tf.image.psnr(truth, found, 1.0)
    error = metrics.squared_error(truth, found)
    np.testing.assert_allclose(metrics.peak_signal_to_noise(error), psnr, rtol=1e-5)


@pytest.mark.parametrize("side", [1, 4, 12])
def test_perfect_reconstruction(side):
    truth = images(side=side)
    error = metrics.squared_error(truth, truth)
    assert (error == 0).all()
    assert (metrics.peak_signal_to_noise(error) == 100).all()
    np.testing.assert_allclose(metrics.structural_similarity(truth, truth), 1, atol=1e-6)


def test_certain_and_wrong_pixels_cost_much_but_not_infinitely():
    truth, found = np.zeros((1, 2, 2, 1), np.float32), np.ones((1, 2, 2, 1), np.float32)
    assert metrics.binary_crossentropy(truth, found) == pytest.approx([-np.log(1e-7)], rel=1e-2)


# === training ===


def test_without_noise_the_image_is_given_and_asked_for():
    batch = images()
    inputs, targets = make().inputs_and_targets({"images": tf.constant(batch)}, tf.constant([1, 2]))
    np.testing.assert_array_equal(inputs, batch)
    np.testing.assert_array_equal(targets["reconstruction"], batch)


def test_noise_is_given_and_the_clean_image_asked_for():
    batch = np.full((4, 50, 50, 1), 0.5, np.float32)
    task = make(noise=0.1)
    inputs, targets = task.inputs_and_targets({"images": tf.constant(batch)}, tf.constant([1, 2]))
    np.testing.assert_array_equal(targets["reconstruction"], batch)
    assert np.std(inputs - batch) == pytest.approx(0.1, rel=0.05)
    again, _ = task.inputs_and_targets({"images": tf.constant(batch)}, tf.constant([1, 2]))
    other, _ = task.inputs_and_targets({"images": tf.constant(batch)}, tf.constant([1, 3]))
    np.testing.assert_array_equal(inputs, again)
    assert (inputs.numpy() != other.numpy()).mean() > 0.9
    loud, _ = make(noise=1.0).inputs_and_targets({"images": tf.constant(batch)}, tf.constant([1, 2]))
    assert (np.min(loud), np.max(loud)) == (0, 1)


@pytest.mark.parametrize(("loss", "kind"), [("bce", "BinaryCrossentropy"), ("mse", "MeanSquaredError")])
def test_loss_is_the_one_asked_for(loss, kind):
    assert type(make(loss=loss).loss()["reconstruction"]).__name__ == kind


# === serving ===


def test_threshold_is_the_quantile_of_validation_scores():
    task = make(normal_share=0.75)
    inputs = np.zeros((5, 12, 14, 1), np.float32)
    raws = [np.full_like(inputs[:1], np.sqrt(score)) for score in (0.1, 0.2, 0.3, 0.4, 0.5)]
    task.calibrate((inputs[:1], {"reconstruction": raw}) for raw in raws)
    assert task.threshold == pytest.approx(0.4)  # place 0.75 * 4 = 3 of five, from 0
    assert task.thresholds() == {"anomaly_score": task.threshold}
    found = served(task, inputs, np.concatenate(raws))
    np.testing.assert_allclose(found["anomaly_score"], [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-5)
    assert found["is_anomaly"].tolist()[:3] == [False] * 3
    assert found["is_anomaly"][4]


def test_without_calibration_nothing_is_an_anomaly():
    assert not served(make(), images(seed=1), images(seed=2))["is_anomaly"].any()
    assert make().thresholds() == {}


def test_decoding_in_a_graph_equals_eagerly():
    task = make()
    task.threshold = 0.1
    inputs, found = images(seed=1), images(seed=2)
    eager = served(task, inputs, found)
    decode = tf.function(task.decode)
    graph = decode(tf.constant(inputs), {"reconstruction": tf.constant(found), "code": tf.zeros((5, 3))}, {})
    for name, values in eager.items():
        np.testing.assert_array_equal(graph[name], values)


# === evaluation ===


def test_noise_of_requests_depends_on_the_example_alone():
    pixels = np.full((20, 20, 3), 0.5, np.float32)
    task, data = make(noise=0.2), png(pixels)
    ask = tf.function(lambda name: task.request({"image": tf.constant(data), "id": name}))
    first, again, other = (ask(tf.constant(name)).numpy() for name in ("a.png", "a.png", "b.png"))
    assert first == again != other
    noise = tf.io.decode_png(first).numpy() / 255 - 0.5
    assert noise.std() == pytest.approx(0.2, rel=0.1)
    assert make().request({"image": tf.constant(data), "id": tf.constant("a")}).numpy() == data


def test_record_compares_with_the_clean_image():
    task = make(noise=0.3)
    truth, found = np.round(images() * 255) / np.float32(255), images(seed=3)
    encoded = np.array([png(one) for one in truth], object)
    records = task.record({"image": encoded}, served(task, images(seed=4), found))
    np.testing.assert_allclose(records["mse"], metrics.squared_error(truth, found), rtol=1e-6)
    assert all(len(column) == 5 for column in records.values())
    assert {column.dtype.kind for column in records.values()} <= {"f", "b"}


def test_record_resizes_the_truth_as_the_model_input_is():
    found = images(1, side=6)
    encoded = np.array([png(np.full((24, 32, 1), 0.2, np.float32))], object)
    records = make().record({"image": encoded}, served(make(), found, np.full_like(found, 0.2)))
    assert records["mse"] == pytest.approx([0], abs=1e-6)


def test_measure_is_the_mean_and_lies_in_the_interval():
    task = make()
    truth, found = np.round(images(30) * 255) / np.float32(255), images(30, seed=3)
    encoded = np.array([png(one) for one in truth], object)
    records = task.record({"image": encoded}, served(task, truth, found))
    values = task.measure(records)
    assert list(values) == ["bce", "mse", "psnr", "ssim", "anomaly_share"]
    assert values["mse"] == pytest.approx(records["mse"].mean())
    evaluated = task.evaluate(records, 200, seed=0)
    assert {name: row["value"] for name, row in evaluated.items()} == values
    for name in ("bce", "mse", "psnr", "ssim"):
        assert evaluated[name]["low"] < values[name] < evaluated[name]["high"]
    assert task.evaluate(records, 0, seed=0)["mse"] == {"value": values["mse"], "low": None, "high": None}


def test_worst_is_what_is_least_like_its_image():
    task = make()
    records = {"mse": np.array([0.1, 0.3]), "anomaly_score": np.array([0.1, 0.3])}
    records["is_anomaly"] = np.array([False, True])
    assert task.badness(records).argmax() == 1
    captions = [task.caption({name: column[row] for name, column in records.items()}) for row in (0, 1)]
    assert captions[0].endswith("(normal)")
    assert captions[1] == "squared error 0.3000, anomaly score 0.3000 (anomaly)"
    (plot,) = task.plots(records)
    assert sum(plot["series"][0]["y"]) == 2
    assert plot["mark"] == pytest.approx(0.2)


def test_worst_of_labelled_images_is_furthest_on_the_wrong_side_of_the_threshold():
    settings = ReconstructionSettings(kind="reconstruction", normal=["a"])
    task = make_task(settings, ["a", "b"])
    records = {
        "mse": np.array([0.9, 0.1, 0.2, 0.3]),
        "anomaly_score": np.array([0.9, 0.1, 0.2, 0.5]),
        "targets": np.array([True, True, False, False]),
    }
    np.testing.assert_array_equal(task.badness(records), records["mse"])  # as nothing is known of a threshold
    task.take_thresholds({"anomaly_score": 0.4})
    # found by 0.5; missed by 0.3; right by 0.2; false alarm by 0.1
    np.testing.assert_allclose(task.badness(records), [-0.5, 0.3, -0.2, 0.1])


def test_picture_shows_what_was_asked_and_what_came_back():
    asked, found = images(1)[0], images(1, seed=2)[0]
    picture = tf.io.decode_png(make().picture(png(asked), {"reconstruction": found}, {})).numpy()
    assert picture.shape == (12, 14 + 1 + 14, 1)
    np.testing.assert_array_equal(picture[:, :14], np.round(asked * 255))
    np.testing.assert_array_equal(picture[:, 15:], np.round(found * 255))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: {"probabilities": o["code"]}, "no `anomaly_score`"),
        (lambda o: {**o, "reconstruction": o["reconstruction"][:, 0]}, "no batch of images"),
        (lambda o: {**o, "reconstruction": o["reconstruction"] * np.nan}, "no numbers"),
        (lambda o: o, ""),
    ],
)
def test_outputs_that_do_not_fit_are_told(change, said):
    problem = make().check(change(served(make(), images(seed=1), images(seed=2))))
    assert said in problem
    assert bool(problem) is bool(said)


# === anomalies among labelled images ===

LABELS = np.array([0, 1, 0, 1, 0])


def labelled(**settings):
    """Squared errors by size: 0.1 (normal), 0.2 (anomaly), 0.3 (normal), 0.4 (anomaly), 0.05 (normal)."""
    task = make(normal=["a"], **settings)
    task.threshold = 0.35
    zeros = np.zeros((5, 12, 14, 1), np.float32)
    errors = np.sqrt(np.float32([0.1, 0.2, 0.3, 0.4, 0.05]))
    outputs = served(task, zeros, zeros + errors[:, None, None, None])
    encoded = np.array([png(one) for one in zeros], object)
    return task, task.record({"image": encoded, "label": LABELS}, outputs)


def test_anomaly_metrics_worked_by_hand():
    """By falling score: 0.4+ 0.3- 0.2+ 0.1- 0.05-. AP = (1 + 2/3) / 2; of 6 pairs 3 + 2 are in order."""
    task, records = labelled()
    values = task.measure(records)
    assert values["anomaly_average_precision"] == pytest.approx(5 / 6)
    assert values["anomaly_roc_auc"] == pytest.approx(5 / 6)
    assert values["anomaly_share"] == pytest.approx(1 / 5)
    found = task.evaluate(records, 200, 0)
    assert all(found[name]["low"] < 5 / 6 < found[name]["high"] for name in list(values)[-2:])
    assert task.learns_from(LABELS).tolist() == [True, False, True, False, True]


def test_anomaly_metrics_are_undefined_without_anomalies():
    task, records = labelled()
    normal = {name: column[LABELS == 0] for name, column in records.items()}
    assert task.evaluate(normal, 20, 0)["anomaly_roc_auc"] == {"value": None, "low": None, "high": None}
    assert len(task.plots(normal, 20)) == 3


def test_labels_show_in_truth_captions_and_plots():
    task, records = labelled()
    example = {"image": tf.constant(b"x"), "label": tf.constant(1, tf.int64)}
    assert set(task.truth(example)) == {"image", "label"}
    assert set(make().truth(example)) == {"image"}
    row = {name: column[1] for name, column in records.items()}
    assert task.caption(row).endswith("(is anomaly, taken for normal)")
    precision, roc, histogram = task.plots(records, 20)
    assert [len(plot["series"]) for plot in (precision, roc)] == [1, 1]
    assert {one["name"]: sum(one["y"]) for one in histogram["series"]} == {"normal": 3, "anomalies": 2}


def test_without_normal_classes_no_label_is_looked_at():
    assert make().learns_from is None
    assert not any(name.startswith("anomaly_a") for name in make().weighted(labelled()[1])(np.ones((1, 5))))


def test_normal_must_be_classes():
    with pytest.raises(ValueError, match=r"classes, which are a, b\. Received: cat"):
        make(normal=["a", "cat"])
