"""A tree whose leaves are the classes, as arrays."""

import difflib
import typing

import numpy as np

from conveyor.models.hierarchy.settings import leaves


class LabelTree:
    """Groups of classes.

    Args:
        tree: As `HierarchySettings.tree`.
        classes: Names of the classes, in label order.

    Raises:
        ValueError: A class is not in the tree, or the tree has a class that the data does not have.

    Attributes:
        paths: For each class its ancestors' paths of names from the root's child down to the class
            itself. A path of names is a node.
        depth: Number of steps from the root to the deepest class.
    """

    def __init__(self, tree: typing.Any, classes: list[str]):
        found = {path[-1]: path for path in leaves(tree)}
        _check(set(found), classes)
        self.paths = [[found[name][: n + 1] for n in range(len(found[name]))] for name in classes]
        self.depth = max(map(len, self.paths))
        self.classes = classes

    def groups(self) -> dict[tuple[str, ...], list[int]]:
        """Returns the labels of the classes below each node, the root () and the classes included."""
        found: dict[tuple[str, ...], list[int]] = {(): list(range(len(self.classes)))}
        for label, path in enumerate(self.paths):
            for node in path:
                found.setdefault(node, []).append(label)
        return found

    def ancestors(self, level: int) -> np.ndarray:
        """Returns int [classes]: a number for each class's ancestor so many steps below the root.

        A class that lies higher stands for itself.
        """
        nodes = [path[min(level, len(path)) - 1] for path in self.paths]
        numbers = {node: number for number, node in enumerate(dict.fromkeys(nodes))}
        return np.array([numbers[node] for node in nodes])

    def distances(self) -> np.ndarray:
        """Returns int [classes, classes]: the height of the lowest common ancestor of two classes.

        The height of a node is the number of steps down to its deepest class, so a class is at
        distance 0 from itself, and at most `depth` from any.

        Source: Bertinetto et al., "Making Better Mistakes", CVPR 2020, section 1.
        """
        count = len(self.classes)
        found = np.full((count, count), self.depth, np.int32)
        groups = self.groups()
        for node in sorted(groups, key=len):  # deeper ones later: the lowest stays
            labels = groups[node]
            found[np.ix_(labels, labels)] = max(len(self.paths[label]) for label in labels) - len(node)
        return found


def _check(found: set[str], classes: list[str]) -> None:
    unknown, missing = sorted(found - set(classes)), sorted(set(classes) - found)
    if unknown:
        near = difflib.get_close_matches(unknown[0], missing or classes, n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"the hierarchy has a class {unknown[0]!r} that the data does not have{hint}")
    if missing:
        more = f" ({len(missing)} classes are missing)" if len(missing) > 1 else ""
        raise ValueError(f"the hierarchy lacks the class {missing[0]!r}{more}; every class must be in it")
