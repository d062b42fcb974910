"""Settings of hierarchical classification."""

import collections
import typing
from collections.abc import Iterator

import pydantic

from conveyor.models.settings import Settings


def _named(tree: typing.Any) -> typing.Any:
    """Returns the tree with names as text: YAML reads the class 7 as a number, and no as false."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {_name(name): _named(inner) for name, inner in tree.items()}
    if isinstance(tree, list):
        return [_name(name) for name in tree]
    raise ValueError(f"a group holds names of classes, [a, b], or of groups, {{a: [b, c]}}; it is {tree!r}")


def _name(name: typing.Any) -> str:
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise ValueError(f"{name!r} is no name of a class; write groups as {{a: [b, c]}}, names in quotes")
    return str(name)


Tree = typing.Annotated[dict[str, typing.Any], pydantic.BeforeValidator(_named)]


class HierarchySettings(Settings):
    """Classes as leaves of a tree, so that some mistakes are worse than others."""

    tree: Tree
    """Groups of classes, of groups, or of both, such as {animal: [cat, dog], vehicle: {car: null,
    two-wheeler: [bicycle, motorbike]}}. Every class of the data is in it exactly once."""
    loss: typing.Literal["conditional", "soft_labels", "none"] = "conditional"
    """What is learned: each step down the tree on its own (the hierarchical cross-entropy); targets that
    are soft by distance in the tree; or the plain task's loss, and the tree only for metrics."""
    alpha: float = pydantic.Field(0.1, ge=0)
    """Of conditional: a step weighs exp(-alpha) times the step above it; 0 is plain cross-entropy."""
    beta: pydantic.PositiveFloat = 10.0
    """Of soft_labels: a target is proportional to exp(-beta * distance), the distance in [0, 1]; the
    larger, the nearer to one class only."""

    @pydantic.field_validator("tree")
    @classmethod
    def _check(cls, tree: typing.Any) -> typing.Any:
        counts = collections.Counter(path[-1] for path in leaves(tree))
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ValueError(
                f"each class is in the tree once; {twice[0]!r} is there {counts[twice[0]]} times"
            )
        if not counts:
            raise ValueError("the tree has no classes")
        return tree


def leaves(tree: typing.Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yields the path of names to each class, from the root's child down.

    Raises:
        ValueError: A group is empty.
    """
    for name in tree:
        inner = tree[name] if isinstance(tree, dict) else None
        path = (*above, name)
        if inner is None:
            yield path
        elif not inner:
            raise ValueError(f"the group {'/'.join(path)!r} has no classes")
        else:
            yield from leaves(inner, path)
