"""Names in a SavedModel that do not depend on what its process did before."""

import pathlib
import re

from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

# TensorFlow numbers functions, calls that have a gradient, and variables, as a process makes them.
_NAME = r"(?:(?<=\")(?:__\w+?|PartitionedCall|StatefulPartitionedCall)[_-])"
_VARIABLE = r"(?:key: \"(?:shared_name|_user_specified_name)\"\s+value \{\s+s: \")"
_NUMBERED = re.compile(rf"({_NAME}|{_VARIABLE})(\d+)(?=\")")


def renumber(file: pathlib.Path) -> None:
    """Numbers functions from 0, in the order that they had, and puts them in the order of their names.

    A training that was resumed has made other things before than one that never stopped; and TensorFlow
    writes functions in the order of a hash table, which differs from process to process.

    Args:
        file: A `saved_model.pb`.
    """
    text = text_format.MessageToString(saved_model_pb2.SavedModel.FromString(file.read_bytes()))
    numbers = sorted({int(number) for _, number in _NUMBERED.findall(text)})
    ranks = {number: rank for rank, number in enumerate(numbers)}
    text = _NUMBERED.sub(lambda found: f"{found[1]}{ranks[int(found[2])]}", text)
    document = text_format.Parse(text, saved_model_pb2.SavedModel())
    for graph in document.meta_graphs:
        graph.graph_def.library.function.sort(key=lambda function: function.signature.name)
    file.write_bytes(document.SerializeToString(deterministic=True))
