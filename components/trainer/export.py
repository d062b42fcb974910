"""Exports a trained model: the Keras file, and the SavedModel that is judged and served."""

import io
import json
import math
import pathlib
import typing
import zipfile

import keras
import tensorflow as tf

from conveyor import __version__
from conveyor.components.artifacts import Model, TransformGraph
from conveyor.components.trainer.fit import Fitted
from conveyor.components.trainer.serving_assets import write_contract, write_warmup
from conveyor.components.transform.graph import load, save_module
from conveyor.models.layer_table import layer_table
from conveyor.models.model import Model as Network
from conveyor.models.ops.frames import whole_frame
from conveyor.models.tasks.task import Task


class Served(tf.Module):
    """Model, preprocessing and decoding in one graph."""

    def __init__(self, model: Network, preprocessing: typing.Any, task: Task):
        super().__init__()
        self.model = model
        self.preprocessing = preprocessing
        self._task = task

    def from_bytes(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """From encoded images, string [n], to the task's outputs, in the images' own pixels."""
        inputs, frame = self.preprocessing.preprocess(images)
        return self._task.decode(inputs, self.model.serve(inputs), frame)

    def from_tensors(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """From model input, float32 [n, height, width, channels], to the task's outputs, in its pixels."""
        return self._task.decode(inputs, self.model.serve(inputs), whole_frame(inputs))


def export(fitted: Fitted, transform_graph: TransformGraph, model: Model) -> None:
    """Fills a Model artifact."""
    served = Served(fitted.model, load(transform_graph.saved_model), fitted.task)
    signatures = {
        "serving_default": tf.function(served.from_bytes, autograph=False).get_concrete_function(
            tf.TensorSpec([None], tf.string, name="images")
        ),
        "tensors": tf.function(served.from_tensors, autograph=False).get_concrete_function(
            tf.TensorSpec(fitted.model.inputs[0].shape, tf.float32, name="inputs")
        ),
    }
    save_module(served, model.saved_model, signatures)
    network, document = fitted.model, transform_graph.read()
    facts = {"family": fitted.family, "parameters": network.count_params(), "made_with": _versions()}
    write_contract(model.saved_model, signatures, fitted.task, document, facts)
    write_warmup(model.saved_model, document)
    _save_keras(network, model.keras_file)
    table = layer_table(network)
    model.layers_file.write_text(json.dumps(table, indent=1), encoding="utf-8")
    model.history_file.write_text(json.dumps(fitted.history, indent=1), encoding="utf-8")
    model.properties.update(
        family=facts["family"],
        parameters=facts["parameters"],
        epochs=len(fitted.history["loss"]),
        best_epoch=fitted.best_epoch,
        classes=fitted.task.classes,
        input=document,
        pretrained_parameters=sum(math.prod(w.shape) for w in network.weights if network.is_pretrained(w)),
    )


def _versions() -> dict[str, str]:
    return {"conveyor": __version__, "keras": keras.__version__, "tensorflow": tf.__version__}


def _save_keras(model: Network, path: pathlib.Path) -> None:
    """Saves a .keras file that has the same bytes whenever the model is the same."""
    buffer = io.BytesIO()
    model.save(path)
    with zipfile.ZipFile(path) as saved, zipfile.ZipFile(buffer, "w") as plain:
        for name in sorted(saved.namelist()):
            content = saved.read(name)
            if name == "metadata.json":  # says when it was saved
                content = json.dumps({**json.loads(content), "date_saved": ""}).encode()
            plain.writestr(zipfile.ZipInfo(name), content)
    path.write_bytes(buffer.getvalue())
