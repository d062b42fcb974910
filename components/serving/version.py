"""One version of a model, loaded: its signatures, and what it says of itself."""

import dataclasses
import pathlib
import re
import time
import typing

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2

from conveyor.components.contract import read_contract
from conveyor.components.serving.errors import BROKEN, Refused
from conveyor.pipeline.errors import UserError

_WARMUP = "assets.extra/tf_serving_warmup_requests"
_NODE = re.compile(r"\{\{[^}]*\}\}|\[Op:[^\]]*\]|\[\[?.*$")  # where in the graph: nothing to a client


@dataclasses.dataclass(frozen=True)
class Signature:
    """What can be asked of a model.

    Args:
        name: Of the signature.
        input: Name of its one input.
        dtype: Of the input, as NumPy has it; object for bytes.
        shape: Of the input, None where any size will do.
        outputs: Name -> (dtype, shape).
        call: Takes the input as a keyword, returns outputs.
        by_size: Whether only images of the same size are answered together as they are alone.
    """

    name: str
    input: str
    dtype: np.dtype
    shape: tuple[int | None, ...]
    outputs: dict[str, tuple[np.dtype, tuple[int | None, ...]]]
    call: typing.Callable[..., dict[str, tf.Tensor]]
    by_size: bool


class Version:
    """A SavedModel in memory.

    Args:
        folder: Where it is.

    Raises:
        UserError: It cannot be loaded, or takes several inputs.
    """

    def __init__(self, folder: pathlib.Path):
        started = time.monotonic()
        self.contract = read_contract(folder)
        try:
            self._loaded = tf.saved_model.load(str(folder))
            self.definitions = _definitions(folder)
        except Exception as error:  # of files that are cut or altered, readers raise all sorts of errors
            raise UserError(
                "the version cannot be loaded", received=_first_line(error), where=str(folder)
            ) from None
        whole = self.contract.get("input", {}).get("resize") == "none"
        self.signatures = {
            name: _signature(name, function, whole, folder)
            for name, function in self._loaded.signatures.items()
        }
        if not self.signatures:
            raise UserError("the version has no signatures", where=str(folder))
        self._warm_up(folder / _WARMUP)
        self.seconds = time.monotonic() - started

    def run(self, name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Answers a batch.

        Args:
            name: Of the signature.
            rows: Its input; of encoded images bytes objects [n].

        Returns:
            Name -> array with as many rows.

        Raises:
            Refused: The model cannot read the input.
        """
        signature = self.signatures[name]
        try:
            outputs = signature.call(**{signature.input: tf.constant(rows)})
            return {key: tensor.numpy() for key, tensor in outputs.items()}
        except tf.errors.ResourceExhaustedError as error:
            raise Refused(503, f"there is not enough memory: {_first_line(error)}") from None
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            raise Refused(400, f"the model cannot read it: {_first_line(error)}") from None
        except Exception:
            logging.exception("a batch of signature %s failed", name)
            raise Refused(500, BROKEN) from None

    def _warm_up(self, path: pathlib.Path) -> None:
        """Answers what the exporter left for that, so that the first client need not wait."""
        if not path.exists():
            return
        try:
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
                signature = self.signatures[request.model_spec.signature_name or "serving_default"]
                self.run(signature.name, np.array(request.inputs[signature.input].string_val, object))
        except Exception as error:
            raise UserError(
                "the version cannot answer its warm-up requests", received=_first_line(error), where=str(path)
            ) from None


def _definitions(folder: pathlib.Path) -> get_model_metadata_pb2.SignatureDefMap:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    found = saved.meta_graphs[0].signature_def
    return get_model_metadata_pb2.SignatureDefMap(
        signature_def={name: found[name] for name in found if not name.startswith("__")}
    )


def _signature(name: str, function: typing.Any, whole: bool, folder: pathlib.Path) -> Signature:
    inputs = function.structured_input_signature[1]
    if len(inputs) != 1:
        raise UserError(
            f"signature {name!r} cannot be served",
            expected="one input",
            received=", ".join(sorted(inputs)) or "none",
            where=str(folder),
        )
    ((key, spec),) = inputs.items()
    outputs = {
        output: (_numpy(found.dtype), tuple(found.shape))
        for output, found in sorted(function.structured_outputs.items())
    }
    open_ended = any(None in shape[1:] for _, shape in outputs.values())
    by_size = spec.dtype == tf.string and (whole or open_ended)
    return Signature(name, key, _numpy(spec.dtype), tuple(spec.shape), outputs, function, by_size)


def _numpy(dtype: tf.DType) -> np.dtype:
    return np.dtype(object if dtype == tf.string else dtype.as_numpy_dtype)


def _first_line(error: Exception) -> str:
    """Returns what an error says, without places in a graph."""
    text = _NODE.sub("", str(error).strip().partition("\n")[0]).strip()
    return text or type(error).__name__
