"""Names in a SavedModel that do not depend on what its process did before."""

import itertools
import pathlib
import re
import typing

from tensorflow.core.framework import attr_value_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

# TensorFlow numbers functions, calls that have a gradient, and variables, as a process makes them.
_NUMBERED = re.compile(r"((?:__\w+|(?:Stateful)?PartitionedCall)[_-]|)(0|[1-9]\d*)")
_COUNTED = ("_gradient_op_type", "shared_name", "_user_specified_name")

Attributes = typing.Mapping[str, attr_value_pb2.AttrValue]


def renumber(file: pathlib.Path) -> None:
    """Numbers functions from 0, in the order that they had, and puts them in the order of their names.

    A training that was resumed has made other things before than one that never stopped; and TensorFlow
    writes functions in the order of a hash table, which differs from process to process.

    Args:
        file: A `saved_model.pb`.
    """
    document = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in document.meta_graphs:
        names = _new_names(graph)
        for attributes in _attributes(graph):
            _rename_attributes(attributes, names)
        for node in _nodes(graph):
            node.op = names.get(node.op, node.op)
        library = graph.graph_def.library
        for function in library.function:
            function.signature.name = names.get(function.signature.name, function.signature.name)
        library.function.sort(key=lambda function: function.signature.name)
        _rename_objects(graph.object_graph_def, names)
    file.write_bytes(document.SerializeToString(deterministic=True))


def _nodes(graph: meta_graph_pb2.MetaGraphDef) -> typing.Iterator[typing.Any]:
    return itertools.chain(graph.graph_def.node, *(f.node_def for f in graph.graph_def.library.function))


def _attributes(graph: meta_graph_pb2.MetaGraphDef) -> typing.Iterator[Attributes]:
    """Yields the attributes of nodes, functions and their arguments."""
    for node in _nodes(graph):
        yield node.attr
    for function in graph.graph_def.library.function:
        yield function.attr
        for argument in function.arg_attr.values():
            yield argument.attr


def _new_names(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, str]:
    """Returns old -> new name of all that has a number of its process."""
    names = {function.signature.name for function in graph.graph_def.library.function}
    for attributes in _attributes(graph):
        names |= {attributes[key].s.decode() for key in _COUNTED if key in attributes}
    found = {name: match for name in names if (match := _NUMBERED.fullmatch(name))}
    ranks = {n: rank for rank, n in enumerate(sorted({int(match[2]) for match in found.values()}))}
    return {name: f"{match[1]}{ranks[int(match[2])]}" for name, match in found.items()}


def _rename_attributes(attributes: Attributes, names: dict[str, str]) -> None:
    for key, value in attributes.items():
        kind = value.WhichOneof("value")
        if kind == "s" and key in _COUNTED:
            value.s = names.get(value.s.decode(), "").encode() or value.s
        called = [value.func] if kind == "func" else value.list.func if kind == "list" else ()
        for function in called:
            function.name = names.get(function.name, function.name)
            _rename_attributes(function.attr, names)


def _rename_objects(objects: typing.Any, names: dict[str, str]) -> None:
    """Renames the functions of the objects, a SavedObjectGraph, that a loaded model has."""
    concrete = objects.concrete_functions
    renamed = {names.get(name, name): concrete[name].SerializeToString() for name in concrete}
    concrete.clear()
    for name, content in renamed.items():
        concrete[name].ParseFromString(content)
    for node in objects.nodes:
        kind = node.WhichOneof("kind")
        if kind == "function":
            node.function.concrete_functions[:] = [names.get(n, n) for n in node.function.concrete_functions]
        elif kind == "bare_concrete_function":
            bare = node.bare_concrete_function
            bare.concrete_function_name = names.get(bare.concrete_function_name, bare.concrete_function_name)
