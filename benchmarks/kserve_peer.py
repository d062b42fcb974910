"""KServe's own server with the same SavedModel, a request at a time: `python kserve_peer.py FOLDER PORT`."""

import base64
import json
import sys
import typing

import kserve
import tensorflow as tf


class Peer(kserve.Model):
    """Answers each request by itself, as a custom predictor of KServe does.

    Args:
        folder: The SavedModel.
    """

    def __init__(self, folder: str):
        super().__init__("m")
        self._loaded = tf.saved_model.load(folder)
        self._served = self._loaded.signatures["serving_default"]
        self.ready = True

    def predict(self, payload: typing.Any, *_: typing.Any) -> typing.Any:
        """Returns predictions in the shape of TensorFlow Serving's."""
        images = [base64.b64decode(one["b64"]) for one in payload["instances"]]
        outputs = {name: tensor.numpy() for name, tensor in self._served(images=tf.constant(images)).items()}
        names = [name.decode() for name in outputs.pop("class_name")]
        rows = [{key: array[at].tolist() for key, array in outputs.items()} for at in range(len(images))]
        return {"predictions": [{**row, "class_name": name} for row, name in zip(rows, names, strict=True)]}


if __name__ == "__main__":
    _folder, _port = sys.argv[1:]
    _model = Peer(_folder)
    print(json.dumps({"rest": f"http://127.0.0.1:{_port}"}, indent=1), flush=True)
    kserve.ModelServer(http_port=int(_port), enable_grpc=False, workers=1).start([_model])
