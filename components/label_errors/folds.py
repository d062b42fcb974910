"""Folds for cross-validation, such that no example is judged by a model that saw it or its like."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse

FOLDS = 5


def bundle(hashes: Sequence[str], groups: Sequence[str]) -> np.ndarray:
    """Returns a number for each example, the same for those that share content or group, if by others.

    Args:
        hashes: Of the content; equal for identical images.
        groups: "" for none.

    Returns:
        [n] int64.
    """
    _, content = np.unique(np.array(hashes, dtype=str), return_inverse=True)
    _, group = np.unique(np.array(groups, dtype=str), return_inverse=True)
    grouped = np.flatnonzero(np.array(groups, dtype=str) != "")
    contents = int(content.max(initial=-1)) + 1
    nodes = contents + int(group.max(initial=-1)) + 1
    edges = (np.ones(len(grouped), bool), (content[grouped], contents + group[grouped]))
    graph = scipy.sparse.coo_array(edges, shape=(nodes, nodes))
    _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return component[content].astype(np.int64)


def assign_folds(bundles: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Deals whole bundles out to folds, class by class, so that each fold has some of each class.

    Args:
        bundles: [n] as of `bundle`; rows in an order that has nothing to do with their content, such as
            that of their hashes.
        labels: [n]; a bundle counts as of the class of its first row.

    Returns:
        [n] int64 in [0, FOLDS).
    """
    _, first, member = np.unique(bundles, return_index=True, return_inverse=True)
    order = np.lexsort((first, labels[first]))
    folds = np.empty(len(first), np.int64)
    folds[order] = np.arange(len(first)) % FOLDS
    return folds[member]
