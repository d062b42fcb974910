"""What lies beside a SavedModel for whoever serves it: its contract, and requests to warm it up with."""

import json
import pathlib
import typing

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from conveyor.components.artifacts import CONTRACT
from conveyor.models.tasks.task import Task

_WARMUP = "assets.extra/tf_serving_warmup_requests"  # where TensorFlow Serving looks
_BATCHES = (1, 32)  # images a request


def write_contract(
    saved_model: pathlib.Path,
    signatures: dict[str, typing.Any],
    task: Task,
    document: dict[str, typing.Any],
    facts: dict[str, typing.Any],
) -> None:
    """Writes which inputs the signatures take and what they answer, as JSON.

    Args:
        saved_model: What was exported.
        signatures: Name -> concrete function.
        task: What the model is for.
        document: Of the TransformGraph.
        facts: What else is to be told of the model.
    """
    told = {
        "task": task.settings.model_dump(mode="json"),
        "classes": task.classes,
        "thresholds": task.thresholds(),
        "input": document,
        "signatures": {name: _describe(function) for name, function in signatures.items()},
        **facts,
    }
    path = saved_model / CONTRACT
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told, indent=1, allow_nan=False), encoding="utf-8")


def _describe(function: typing.Any) -> dict[str, typing.Any]:
    inputs = {spec.name: spec for spec in tf.nest.flatten(function.structured_input_signature)}
    return {"inputs": _specs(inputs), "outputs": _specs(function.structured_outputs)}


def _specs(specs: dict[str, tf.TensorSpec]) -> dict[str, typing.Any]:
    return {
        name: {"dtype": specs[name].dtype.name, "shape": specs[name].shape.as_list()}
        for name in sorted(specs)
    }


def write_warmup(saved_model: pathlib.Path, document: dict[str, typing.Any]) -> None:
    """Writes requests that TensorFlow Serving answers before it takes others.

    They hold an image of one colour: a published model must not carry its training data along.

    Args:
        saved_model: What was exported.
        document: Of the TransformGraph: `height`, `width`, `channels`.
    """
    shape = (document["height"], document["width"], document["channels"])
    image = tf.io.encode_png(tf.fill(shape, tf.constant(128, tf.uint8))).numpy()
    path = saved_model / _WARMUP
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for count in _BATCHES:
            writer.write(_request([image] * count).SerializeToString(deterministic=True))


def _request(images: list[bytes]) -> typing.Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = "serving_default"
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(images))
    log = prediction_log_pb2.PredictLog(request=request)
    return prediction_log_pb2.PredictionLog(predict_log=log)
