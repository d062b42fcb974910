import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_run import CLASSES, export_changed, new
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from conveyor.components.artifacts import Model
from conveyor.components.datasets import read_split
from conveyor.components.trainer.export import export
from conveyor.components.trainer.fit import Fitted
from conveyor.components.transform.graph import load
from conveyor.models.cnn.cnn import CNN
from conveyor.models.layer_table import layer_table
from conveyor.models.tasks.settings import ClassificationSettings
from conveyor.models.tasks.task import make_task


@pytest.fixture(scope="module")
def loaded(run):
    return tf.saved_model.load(str(run.model.saved_model))


@pytest.fixture(scope="module")
def images(run):
    """Stored bytes, JPEG and PNG."""
    found = tf.stack([row["image"] for row in read_split(run.examples, "test")])
    assert {bytes(image[:2].ljust(2)) for image in found.numpy()} == {b"\x89P", b"\xff\xd8"}
    return found


@pytest.mark.parametrize(
    ("name", "argument", "shape", "dtype"),
    [
        ("serving_default", "images", [None], tf.string),
        ("tensors", "inputs", [None, 12, 10, 1], tf.float32),
    ],
)
def test_signatures(loaded, name, argument, shape, dtype):
    assert set(loaded.signatures) == {"serving_default", "tensors"}
    signature = loaded.signatures[name]
    arguments, keywords = signature.structured_input_signature
    assert (arguments, list(keywords)) == ((), [argument])
    assert keywords[argument].shape.as_list() == shape
    assert keywords[argument].dtype == dtype
    outputs = signature.structured_outputs
    assert {key: (spec.shape.as_list(), spec.dtype) for key, spec in outputs.items()} == {
        "probabilities": ([None, 3], tf.float32),
        "class_id": ([None], tf.int64),
        "class_name": ([None], tf.string),
    }


def test_answers_to_bytes_are_those_of_the_keras_model_on_preprocessed_input(run, loaded, images):
    served = loaded.signatures["serving_default"](images=images)
    network = keras.saving.load_model(run.model.keras_file, safe_mode=True)
    inputs, _ = load(run.graph.saved_model).preprocess(images)
    logits = network(inputs).numpy()
    np.testing.assert_allclose(served["probabilities"], tf.nn.softmax(logits), atol=1e-6)
    np.testing.assert_array_equal(served["class_id"], logits.argmax(axis=1))
    names = [name.decode() for name in served["class_name"].numpy()]
    assert names == [CLASSES[label] for label in logits.argmax(axis=1)]
    tensors = loaded.signatures["tensors"](inputs=inputs)
    for name, values in served.items():
        np.testing.assert_array_equal(tensors[name], values)


def test_one_image_is_answered_as_in_a_batch(loaded, images):
    together = loaded.signatures["serving_default"](images=images)["probabilities"]
    alone = loaded.signatures["serving_default"](images=images[4:5])["probabilities"]
    np.testing.assert_allclose(alone[0], together[4], atol=1e-6)


def test_dropout_and_normalisation_are_served_as_in_inference(run, images, tmp_path):
    network = CNN((12, 10, 1), 3, filters=[4], normalization="batch", dense=8, dropout=0.5, name="cnn")
    inputs, _ = load(run.graph.saved_model).preprocess(images)
    network(inputs, training=True)  # moves the averages of the normalisation
    model = new(tmp_path, Model)
    task = make_task(ClassificationSettings(), CLASSES)
    export(Fitted(network, task, {"loss": [0.0]}, 1, "cnn"), run.graph, model)
    served = tf.saved_model.load(str(model.saved_model)).signatures["serving_default"]
    expected = tf.nn.softmax(network(inputs, training=False))
    for _ in range(2):
        np.testing.assert_allclose(served(images=images)["probabilities"], expected, atol=1e-6)
    assert abs(network(inputs, training=True) - network(inputs)).numpy().max() > 0.01


def test_documents_beside_the_model(run):
    model = run.model
    network = keras.saving.load_model(model.keras_file)
    assert json.loads(model.layers_file.read_text("utf-8")) == layer_table(network)
    history = json.loads(model.history_file.read_text("utf-8"))
    assert {len(values) for values in history.values()} == {3}
    best = history["val_loss"].index(min(history["val_loss"])) + 1
    assert model.properties == {
        "family": "linear",
        "parameters": 12 * 10 * 3 + 3,
        "epochs": 3,
        "best_epoch": best,
        "classes": CLASSES,
        "input": run.graph.read(),
        "pretrained_parameters": 0,
    }


def test_contract_tells_what_the_loaded_signatures_take_and_answer(run, loaded):
    contract = run.model.contract()
    for name, told in contract["signatures"].items():
        signature = loaded.signatures[name]
        for part, specs in (
            ("inputs", signature.structured_input_signature[1]),
            ("outputs", signature.structured_outputs),
        ):
            assert told[part] == {
                key: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()} for key, spec in specs.items()
            }
    assert set(contract["signatures"]) == set(loaded.signatures)
    assert contract["input"] == run.graph.read()
    assert (contract["classes"], contract["task"]["kind"]) == (CLASSES, "classification")
    assert (contract["family"], contract["parameters"], contract["thresholds"]) == ("linear", 363, {})
    assert contract["made_with"]["tensorflow"] == tf.__version__


def test_warmup_requests_are_answered_and_hold_no_data(run, loaded):
    path = run.model.saved_model / "assets.extra" / "tf_serving_warmup_requests"
    requests = [
        PredictionLog.FromString(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(path))
    ]
    assert [len(tf.make_ndarray(request.inputs["images"])) for request in requests] == [1, 32]
    for request in requests:
        assert list(request.inputs) == ["images"]
        images = tf.constant(tf.make_ndarray(request.inputs["images"]))
        loaded.signatures[request.model_spec.signature_name](images=images)
        for image in images:
            pixels = tf.io.decode_image(image).numpy()
            assert pixels.shape == (12, 10, 1)
            assert np.unique(pixels).tolist() == [128]


def test_files_say_nothing_of_when_they_were_made(run, tmp_path):
    assert not (run.model.saved_model / "fingerprint.pb").exists()
    with zipfile.ZipFile(run.model.keras_file) as file:
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(file.read("metadata.json"))["date_saved"] == ""
    # A SavedModel's functions are numbered in a process: see test_reproducible for their bytes.
    document = SavedModel.FromString((run.model.saved_model / "saved_model.pb").read_bytes())
    functions = document.meta_graphs[0].graph_def.library.function
    names = [function.signature.name for function in functions]
    assert len(names) > 5
    assert names == sorted(names)
    again = export_changed(tmp_path, run).keras_file.read_bytes()
    assert again == run.model.keras_file.read_bytes()
    other = export_changed(tmp_path, run, lambda w: [w[0] * 1.5, w[1]]).keras_file.read_bytes()
    assert again != other
