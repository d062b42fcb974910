"""How far mistakes are from the truth in the tree of classes."""

import numpy as np

from conveyor.models.hierarchy.tree import LabelTree


def hierarchical_metrics(
    tree: LabelTree, predicted: np.ndarray, truth: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Measures mistakes by the tree, under each weighting of the examples.

    Args:
        tree: The tree of the classes.
        predicted: int [n], the likeliest class.
        truth: int [n], the true class.
        weights: float or int [b, n], at least 0.

    Returns:
        `hierarchical_distance`: mean height of the lowest common ancestor of predicted and true
        class over the mistakes, in [1, depth]; NaN where there is none. `accuracy_level_<l>`: share
        of examples whose predicted class has the true one's ancestor l steps below the root; l from 1
        to depth - 1 (at depth that is `accuracy`). Each float [b].

    Source: Bertinetto et al., "Making Better Mistakes", CVPR 2020, section 4.1 (the hierarchical
    distance of a mistake).
    """
    distances = tree.distances()[truth, predicted]
    mistakes = weights @ (distances > 0)
    with np.errstate(invalid="ignore"):
        found = {"hierarchical_distance": weights @ distances / mistakes}
    totals = weights.sum(axis=1)
    for level in range(1, tree.depth):
        ancestors = tree.ancestors(level)
        found[f"accuracy_level_{level}"] = weights @ (ancestors[predicted] == ancestors[truth]) / totals
    return found
