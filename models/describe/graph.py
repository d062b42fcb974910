"""A model as a flat list of steps: nested models opened, branches in order."""

import dataclasses
import typing

import keras

Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a layer.

    Args:
        layer: The layer, or an operation such as an addition.
        name: Its name; inside a nested model "outer/inner".
        wires: KerasTensor's id -> (step, output) that makes it; of the inputs, in order.
        arguments: What Keras recorded of the call; None for an input of the model.
        inputs: Shapes of the inputs, without the batch.
        output: Shape of the first output, without the batch.
    """

    layer: typing.Any
    name: str
    wires: dict[int, tuple[int, int]]
    arguments: typing.Any
    inputs: tuple[Shape, ...]
    output: Shape

    @property
    def sources(self) -> list[int]:
        """Returns the steps that this one reads."""
        return list(dict.fromkeys(index for index, _ in self.wires.values()))


@dataclasses.dataclass(frozen=True)
class Graph:
    """A model as steps.

    Args:
        steps: Each after those that it reads.
        outputs: (step, output) of each output of the model.
        structure: The model's outputs as it gives them: one, or a list or dict of them.
    """

    steps: list[Step]
    outputs: list[tuple[int, int]]
    structure: typing.Any

    def answer(self, values: list[list[typing.Any]]) -> typing.Any:
        """Returns the outputs of the model, from those of every step."""
        flat = [values[step][number] for step, number in self.outputs]
        return keras.tree.pack_sequence_as(self.structure, flat)


def walk(model: keras.Model) -> Graph:
    """Returns the steps of a model.

    Args:
        model: A functional or built sequential model.

    Raises:
        ValueError: The model is no graph of layers.
    """
    if not _is_graph(model):
        raise ValueError(f"expected a functional or a built sequential model. Received: {model.name}")
    steps: list[Step] = []
    wires = {}
    for tensor in model.inputs:
        wires[id(tensor)] = (len(steps), 0)
        layer = tensor._keras_history.operation
        steps.append(Step(layer, layer.name, {}, None, (), tuple(tensor.shape[1:])))
    _follow(model, wires, "", steps)
    return Graph(steps, [wires[id(tensor)] for tensor in model.outputs], _graph(model)._outputs_struct)


def run(steps: list[Step], inputs: list[typing.Any]) -> list[list[typing.Any]]:
    """Returns the outputs of every step, as in prediction.

    Args:
        steps: Of a graph.
        inputs: A batch for each input of the model.
    """
    given = iter(inputs)
    values: list[list[typing.Any]] = []
    for step in steps:
        if step.arguments is None:
            values.append([next(given)])
            continue
        known = {key: values[index][output] for key, (index, output) in step.wires.items()}
        args, kwargs = step.arguments.fill_in(known)
        values.append(keras.tree.flatten(step.layer(*args, **kwargs)))
    return values


def _is_graph(layer: typing.Any) -> bool:
    return hasattr(_graph(layer), "_nodes_by_depth")


def _graph(layer: typing.Any) -> typing.Any:
    return getattr(layer, "_functional", None) or layer  # a sequential model holds its graph


def _follow(model: typing.Any, wires: dict[int, tuple[int, int]], prefix: str, steps: list[Step]) -> None:
    """Appends the steps of a model; `wires` says who makes its inputs, and is told who makes the rest."""
    by_depth = _graph(model)._nodes_by_depth  # Keras has no public list of calls
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            if node.is_input:
                continue
            layer, inputs = node.operation, node.input_tensors
            if _is_graph(layer):
                own = zip(_graph(layer).inputs, inputs, strict=False)
                inner = {id(inside): wires[id(outside)] for inside, outside in own}
                _follow(layer, inner, f"{prefix}{layer.name}/", steps)
                made = [inner[id(tensor)] for tensor in _graph(layer).outputs]
            else:
                made = [(len(steps), number) for number in range(len(node.outputs))]
                steps.append(_step(node, wires, prefix))
            wires.update(zip(map(id, node.outputs), made, strict=True))


def _step(node: typing.Any, wires: dict[int, tuple[int, int]], prefix: str) -> Step:
    return Step(
        node.operation,
        prefix + node.operation.name,
        {id(tensor): wires[id(tensor)] for tensor in node.input_tensors},
        node.arguments,
        tuple(tuple(tensor.shape[1:]) for tensor in node.input_tensors),
        tuple(node.outputs[0].shape[1:]),
    )
