"""A Keras model in other formats, and what runs them."""

import dataclasses
import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from conveyor.models.model import Model as Network
from conveyor.models.ops.portable import portable
from conveyor.pipeline.errors import UserError

Outputs = dict[str, np.ndarray]
Run = Callable[[np.ndarray], Outputs]
_ONLY = "output"  # the name of what a model returns that returns no dict
_OPSET = 17
_NUMBERED = re.compile(r"__[0-9]+(:[0-9]+)?$")


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Args:
        file: What its file is called.
        convert: Takes the network and batches of model inputs, returns the file's bytes.
        open: Takes the bytes, returns what runs them.
    """

    file: str
    convert: Callable[[Network, Iterable[np.ndarray]], bytes]
    open: Callable[[bytes], Run]


def raw_outputs(outputs: typing.Any) -> typing.Any:
    """Returns what `Model.serve` returned, of outputs by name."""
    return outputs[_ONLY] if set(outputs) == {_ONLY} else outputs


def _function(network: Network, rows: int | None) -> typing.Any:
    """Returns a function of so many model inputs, None for any number.

    Weights are constants, as converters leave variables unset.
    """
    weights = [(variable, variable.numpy()) for variable in network.variables]

    def serve(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        constants = [(variable, tf.constant(value)) for variable, value in weights]
        with keras.StatelessScope(constants), portable():
            raw = network.serve(inputs)
        return raw if isinstance(raw, dict) else {_ONLY: raw}

    spec = tf.TensorSpec([rows, *network.inputs[0].shape[1:]], tf.float32, name="inputs")
    return tf.function(serve, autograph=False, input_signature=[spec])


def _has_loop(graph: typing.Any) -> bool:
    """Returns whether something is repeated as often as data says."""
    definition = graph.as_graph_def()
    names = {node.op for node in definition.node}
    names |= {node.op for function in definition.library.function for node in function.node_def}
    return bool(names & {"While", "StatelessWhile"})


# === LiteRT ===


def _litert(network: Network, calibration: Iterable[np.ndarray]) -> bytes:
    del calibration
    return _converter(_traced(network)).convert()


def _litert_int8(network: Network, calibration: Iterable[np.ndarray]) -> bytes:
    def rows() -> Iterator[list[np.ndarray]]:
        for batch in calibration:
            for row in batch:
                yield [row[np.newaxis]]

    concrete = _traced(network)
    if _has_loop(concrete.graph):  # the converter would not fail, it would end the process
        raise UserError(
            "it cannot be converted",
            expected="a network without loops, for 8-bit numbers",
            received="a loop, as soft suppression (detections.soft) is",
        )
    converter = _converter(concrete)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = rows
    return converter.convert()


def _traced(network: Network) -> typing.Any:
    return _function(network, 1).get_concrete_function()


def _converter(concrete: typing.Any) -> typing.Any:
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())


def _open_litert(content: bytes) -> Run:
    interpreter = _needed("ai_edge_litert.interpreter").Interpreter(
        model_content=content, num_threads=os.cpu_count() or 1
    )
    runner = interpreter.get_signature_runner()

    def run(inputs: np.ndarray) -> Outputs:
        rows = [runner(inputs=inputs[at : at + 1]) for at in range(len(inputs))]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    return run


# === ONNX ===


def _onnx(network: Network, calibration: Iterable[np.ndarray]) -> bytes:
    del calibration
    converter = _needed("tf2onnx")
    function = _function(network, None)
    if _has_loop(
        function.get_concrete_function().graph
    ):  # over images, and not all that can be in one is known
        function = _function(network, 1)
    model, _ = converter.convert.from_function(function, function.input_signature, opset=_OPSET)
    _renumber(model.graph)
    return model.SerializeToString(deterministic=True)


def _renumber(graph: typing.Any) -> None:
    """Counts up the names that the converter has numbered, as its numbers depend on chance."""
    names: dict[str, str] = {}

    def renamed(name: str) -> str:
        if _NUMBERED.search(name) and name not in names:
            names[name] = _NUMBERED.sub(rf"__{len(names)}\1", name)
        return names.get(name, name)

    for node in graph.node:
        node.name = renamed(node.name)
        for places in (node.input, node.output):
            places[:] = [renamed(name) for name in places]
    for value in (*graph.initializer, *graph.value_info):
        value.name = renamed(value.name)
    for value in (*graph.value_info, *graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = renamed(size.dim_param)
    graph.doc_string = ""  # names the function, whose number depends on what came before


def _open_onnx(content: bytes) -> Run:
    session = _needed("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    rows = session.get_inputs()[0].shape[0]

    def run(inputs: np.ndarray) -> Outputs:
        step = rows if isinstance(rows, int) else len(inputs)
        parts = [session.run(names, {"inputs": inputs[at : at + step]}) for at in range(0, len(inputs), step)]
        return {
            name: np.concatenate(part) for name, part in zip(names, zip(*parts, strict=True), strict=True)
        }

    return run


def _needed(module: str) -> typing.Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            "other formats need packages that are not installed",
            received=str(error),
            fix="pip install 'conveyor[export]'",
        ) from None


FORMATS = {
    "litert": Format("model.tflite", _litert, _open_litert),
    "litert_int8": Format("model_int8.tflite", _litert_int8, _open_litert),
    "onnx": Format("model.onnx", _onnx, _open_onnx),
}
