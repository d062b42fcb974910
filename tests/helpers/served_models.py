"""Small SavedModels to serve: their answers can be told without a model."""

import base64
import io
import json
import pathlib

import numpy as np
import PIL.Image
import requests
import tensorflow as tf

CLASSES = ["dark", "bright"]


class _Mean(tf.Module):
    """Answers the mean of an image's pixels, plus a bias; dark or bright; and the pixels themselves."""

    def __init__(self, bias: float):
        super().__init__()
        self.bias = tf.Variable(bias, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])
    def from_bytes(self, images):
        read = tf.map_fn(self._mean, images, fn_output_signature=tf.float32)
        return self._answer(read)

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4, 1], tf.float32, name="inputs")])
    def from_tensors(self, inputs):
        return self._answer(tf.reduce_mean(inputs, [1, 2, 3]))

    def _mean(self, data):
        return tf.reduce_mean(tf.cast(tf.io.decode_image(data, 1, expand_animations=False), tf.float32))

    def _answer(self, means):
        means = means + self.bias
        kinds = tf.cast(means > 127.0, tf.int64)
        return {"mean": means, "class_id": kinds, "class_name": tf.gather(tf.constant(CLASSES), kinds)}


class _Maps(tf.Module):
    """Answers each image's pixels, filled up to the largest of its batch with 255."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])
    def from_bytes(self, images):
        def read(data):
            pixels = tf.io.decode_image(data, 1, expand_animations=False)[..., 0]
            return tf.RaggedTensor.from_tensor(pixels), tf.shape(pixels)

        spec = tf.RaggedTensorSpec([None, None], tf.uint8, 1, tf.int64)
        maps, sizes = tf.map_fn(read, images, fn_output_signature=(spec, tf.TensorSpec([2], tf.int32)))
        return {"class_map": maps.to_tensor(255), "sizes": sizes}


def save_means(folder: pathlib.Path, bias: float = 0.0) -> pathlib.Path:
    """Saves the model of means; a bias tells versions apart."""
    module = _Mean(bias)
    return _save(module, folder, {"serving_default": module.from_bytes, "tensors": module.from_tensors})


def save_maps(folder: pathlib.Path) -> pathlib.Path:
    """Saves the model of maps."""
    module = _Maps()
    return _save(module, folder, {"serving_default": module.from_bytes})


def _save(module: tf.Module, folder: pathlib.Path, signatures: dict) -> pathlib.Path:
    partial = folder.parent / f".{folder.name}"
    tf.saved_model.save(module, str(partial), signatures=signatures)
    extra = partial / "assets.extra"
    extra.mkdir()
    contract = {"classes": CLASSES, "thresholds": {}, "input": {"resize": "stretch"}}
    (extra / "contract.json").write_text(json.dumps(contract))
    partial.rename(folder)  # as the pusher does: a server sees all of it, or nothing
    return folder


def png(value: int, size: tuple[int, int] = (4, 4)) -> bytes:
    """Returns a grey image of one value."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.full(size, value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class _Everything(tf.Module):
    """Answers all kinds of outputs that the page draws, the same for each image."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="images")])
    def from_bytes(self, images):
        def row(value, dtype=tf.float32):
            one = tf.constant([value], dtype)
            return tf.tile(one, [tf.shape(images)[0], *([1] * (one.shape.rank - 1))])

        return {
            "probabilities": row([0.25, 0.75]),
            "boxes": row([[0, 0, 2, 2], [1, 1, 4, 4], [-1, -1, -1, -1]]),
            "scores": row([0.9, 0.2, 0]),
            "class_id": row([1, 0, -1], tf.int64),
            "class_name": row(["bright", "dark", ""], tf.string),
            "masks": row([[[1.0, 0.0], [0.0, 1.0]]] * 3),
            "class_map": row([[0] * 4, [0] * 4, [1] * 4, [1] * 4], tf.uint8),
            "sizes": row([4, 4], tf.int32),
            "reconstruction": row(np.full((4, 4, 1), 0.5).tolist()),
            "anomaly_score": row(0.125),
            "is_anomaly": row(True, tf.bool),
        }


def save_everything(folder: pathlib.Path) -> pathlib.Path:
    """Saves the model of all kinds of outputs."""
    module = _Everything()
    return _save(module, folder, {"serving_default": module.from_bytes})


class Client:
    """Sends requests to a server."""

    def __init__(self, server):
        self.server = server
        self.rest = server.addresses["rest"]
        self.grpc = server.addresses["grpc"]

    def get(self, path, **options):
        return requests.get(self.rest + path, timeout=30, **options)

    def post(self, path, document=None, **options):
        return requests.post(self.rest + path, json=document, timeout=30, **options)


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


def mean(client):
    found = client.post("/v1/models/m:predict", {"instances": [b64(png(10))]})
    assert found.status_code == 200, found.text
    return found.json()["predictions"][0]["mean"]
