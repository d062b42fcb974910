"""The pipeline: stages with settings, wired by artifact type when it is constructed."""

import dataclasses
import graphlib
from collections.abc import Iterable, Mapping

from conveyor.pipeline.config import Settings
from conveyor.pipeline.errors import UserError, did_you_mean
from conveyor.pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Node:
    """One stage of a pipeline, with its settings.

    Args:
        stage: What runs.
        settings: An instance of the stage's settings type.
        name: Its name in this pipeline; that of the stage unless told.
        inputs: For inputs that the artifact type alone does not settle: input -> "node.output".
        references: Artifacts of earlier runs that the settings name: what for -> digest. They are part of
            the lineage.
    """

    stage: Stage
    settings: Settings = dataclasses.field(default_factory=Settings)
    name: str = ""
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    references: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.stage.name)
        if not isinstance(self.settings, self.stage.settings_type):
            raise UserError(
                f"stage {self.name}: wrong kind of settings",
                expected=self.stage.settings_type.__name__,
                received=type(self.settings).__name__,
            )


class Pipeline:
    """Nodes in the order they run, and where each input comes from.

    Args:
        nodes: The nodes; their order among independent ones is kept.

    Attributes:
        nodes: Topologically sorted.
        sources: node name -> input name -> (producing node, output name); None for an optional
            input that nothing produces.

    Raises:
        UserError: Two nodes of one name, an input nothing produces or that several do, a
            reference to an unknown output, or a cycle.
    """

    def __init__(self, nodes: Iterable[Node]):
        by_name: dict[str, Node] = {}
        for node in nodes:
            if node.name in by_name:
                raise UserError(f"two stages are named {node.name!r}", fix="give one of them another name=…")
            by_name[node.name] = node
        self.sources = {name: _wire(node, by_name) for name, node in by_name.items()}
        self.nodes = [by_name[name] for name in _sort(by_name, self.sources)]

    def select(self, until: str | None = None, start: str | None = None) -> list[Node]:
        """Returns the nodes up to `until`, after checking both names.

        Raises:
            UserError: No stage has that name, or `start` comes after `until`.
        """
        names = [node.name for node in self.nodes]
        for option, name in (("--until", until), ("--from", start)):
            if name is not None and name not in names:
                raise UserError(f"{option}: no stage is named {name!r}", fix=did_you_mean(name, names))
        last = names.index(until) if until else len(names) - 1
        if start and names.index(start) > last:
            raise UserError(f"--from {start} comes after --until {until}; nothing would run")
        return self.nodes[: last + 1]

    def downstream(self, start: str) -> set[str]:
        """Returns `start` and every node that depends on it, directly or not."""
        reached = {start}
        for node in self.nodes:
            if any(source and source[0] in reached for source in self.sources[node.name].values()):
                reached.add(node.name)
        return reached


def _wire(node: Node, by_name: Mapping[str, Node]) -> dict[str, tuple[str, str] | None]:
    outputs = {
        f"{other.name}.{output}": (other.name, output)
        for other in by_name.values()
        for output in other.stage.outputs
    }
    if unknown := set(node.inputs) - set(node.stage.inputs):
        name = sorted(unknown)[0]
        raise UserError(f"stage {node.name} has no input {name!r}", fix=did_you_mean(name, node.stage.inputs))
    wired: dict[str, tuple[str, str] | None] = {}
    for name, port in node.stage.inputs.items():
        if reference := node.inputs.get(name):
            if reference not in outputs:
                raise UserError(
                    f"stage {node.name}: nothing produces {reference!r}, wired to its input {name!r}",
                    fix=did_you_mean(reference, outputs),
                )
            candidates = [outputs[reference]]
        else:
            candidates = [
                source
                for source in outputs.values()
                if source[0] != node.name and by_name[source[0]].stage.outputs[source[1]].type is port.type
            ]
        wired[name] = _only(node, name, candidates, by_name)
    return wired


def _only(
    node: Node, name: str, candidates: list[tuple[str, str]], by_name: Mapping[str, Node]
) -> tuple[str, str] | None:
    port = node.stage.inputs[name]
    wanted = port.type.type_name()
    if len(candidates) > 1:
        options = ", ".join(".".join(candidate) for candidate in candidates)
        raise UserError(
            f"stage {node.name}: several outputs could be its input {name!r} ({wanted}): {options}",
            fix=f'say which: inputs={{"{name}": "stage.output"}}',
        )
    if not candidates:
        if port.optional:
            return None
        made = {out.type.type_name() for other in by_name.values() for out in other.stage.outputs.values()}
        raise UserError(
            f"stage {node.name}: no stage produces its input {name!r}",
            expected=f"an output of type {wanted}",
            received=f"outputs of type {', '.join(sorted(made)) or 'none'}",
            fix=did_you_mean(wanted, made),
        )
    owner, output = candidates[0]
    made_type = by_name[owner].stage.outputs[output].type
    if made_type is not port.type:
        raise UserError(
            f"stage {node.name}: its input {name!r} is wired to the wrong type",
            expected=wanted,
            received=f"{made_type.type_name()} from {owner}.{output}",
        )
    return candidates[0]


def _sort(
    by_name: Mapping[str, Node], sources: Mapping[str, Mapping[str, tuple[str, str] | None]]
) -> list[str]:
    """Returns the names in topological order, keeping the given order where it is free."""
    graph = {name: {source[0] for source in sources[name].values() if source} for name in by_name}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        path = " -> ".join(error.args[1])  # each reads from the one before
        raise UserError(f"the stages form a cycle: {path}") from None
    order: list[str] = []
    while len(order) < len(graph):
        order.append(next(n for n in by_name if n not in order and graph[n] <= set(order)))
    return order
