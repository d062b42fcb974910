"""Losses that know the tree of classes."""

import itertools

import keras
import numpy as np
from keras import ops

from conveyor.models.hierarchy.settings import HierarchySettings
from conveyor.models.hierarchy.tree import LabelTree


def hierarchical_loss(
    settings: HierarchySettings, classes: list[str], label_smoothing: float = 0.0
) -> keras.losses.Loss:
    """Returns the loss that settings ask for.

    Args:
        settings: The tree, and which loss.
        classes: Names of the classes, in label order.
        label_smoothing: Share in [0, 1) of the target spread evenly over all classes.
    """
    if settings.loss == "conditional":
        return ConditionalCrossentropy(settings.tree, classes, settings.alpha, label_smoothing)
    if settings.loss == "soft_labels":
        return SoftLabelCrossentropy(settings.tree, classes, settings.beta, label_smoothing)
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)


class _TreeLoss(keras.losses.Loss):
    """Of logits [n, classes] and targets [n, classes]; saves its tree with the model."""

    def __init__(self, tree, classes, label_smoothing=0.0, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing
        self._given = {"tree": tree, "classes": list(classes)}
        self._tree = LabelTree(tree, list(classes))

    def _smoothed(self, targets):
        return targets * (1.0 - self.label_smoothing) + self.label_smoothing / len(self._given["classes"])

    def get_config(self):
        return {**super().get_config(), **self._given, "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("conveyor")
class ConditionalCrossentropy(_TreeLoss):
    """Cross-entropy of each step down the tree, given that the node above is right.

    With p(C) the sum of the probabilities of the classes below node C, an example of a class with the
    ancestors C1 (the root's child), …, Cd (the class itself) costs
    -sum over l of exp(-alpha * (l - 1)) * log(p(Cl) / p(Cl-1)); p of the root is 1.

    Args:
        tree: As `HierarchySettings.tree`.
        classes: Names of the classes, in label order.
        alpha: How much less a step weighs than the one above it; with 0 the sum is plain cross-entropy.
        label_smoothing: Share in [0, 1) of the target spread evenly over all classes.

    Source: Bertinetto et al., "Making Better Mistakes", CVPR 2020, equations 3 and 4 (the hierarchical
    cross-entropy), weighted by depth as in its authors' code, the first step with 1.
    """

    def __init__(self, tree, classes, alpha=0.1, label_smoothing=0.0, name="conditional", **kwargs):
        super().__init__(tree, classes, label_smoothing, name=name, **kwargs)
        self.alpha = alpha
        groups = self._tree.groups()
        inner = [labels for labels in groups.values() if len(labels) > 1]
        self._inner = inner
        self._share, self._own = _coefficients(self._tree, inner, alpha)

    def call(self, targets, logits):
        logits = ops.cast(logits, "float32")
        targets = self._smoothed(ops.cast(targets, "float32"))
        # sums of logarithms, not of probabilities, which vanish where a model is sure and wrong
        sums = [ops.logsumexp(ops.take(logits, labels, axis=1), axis=1) for labels in self._inner]
        costs = ops.matmul(ops.stack(sums, axis=1), self._share) - logits * self._own
        return ops.sum(targets * costs, axis=1)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}


def _coefficients(tree: LabelTree, inner: list[list[int]], alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns how much each group's log-sum counts in each class's cost, [groups, classes], and its logit.

    A class's cost is a telescope: weight * (log p(above) - log p(node)) for each step. A group of one
    class has that class's logit for its log-sum.
    """
    share = np.zeros((len(inner), len(tree.classes)), np.float32)
    own = np.zeros(len(tree.classes), np.float32)
    rows = {node: inner.index(labels) for node, labels in tree.groups().items() if len(labels) > 1}
    for label, path in enumerate(tree.paths):
        for step, (above, node) in enumerate(itertools.pairwise([(), *path])):
            for place, sign in ((above, 1.0), (node, -1.0)):
                weight = np.float32(sign * np.exp(-alpha * step))
                if place in rows:
                    share[rows[place], label] += weight
                else:
                    own[label] -= weight
    return share, own


@keras.saving.register_keras_serializable("conveyor")
class SoftLabelCrossentropy(_TreeLoss):
    """Cross-entropy against targets that are soft by distance in the tree.

    The target of class B for an example of class A is proportional to exp(-beta * d(A, B)), d being
    the height of their lowest common ancestor as a share of the root's.

    Args:
        tree: As `HierarchySettings.tree`.
        classes: Names of the classes, in label order.
        beta: The larger, the nearer the targets are to one class only.
        label_smoothing: Share in [0, 1) of the target spread evenly over all classes.

    Source: Bertinetto et al., "Making Better Mistakes", CVPR 2020, equation 5.
    """

    def __init__(self, tree, classes, beta=10.0, label_smoothing=0.0, name="soft_labels", **kwargs):
        super().__init__(tree, classes, label_smoothing, name=name, **kwargs)
        self.beta = beta
        self.targets = soft_labels(self._tree, beta)

    def call(self, targets, logits):
        targets = ops.matmul(self._smoothed(ops.cast(targets, "float32")), self.targets)
        return keras.losses.categorical_crossentropy(targets, ops.cast(logits, "float32"), from_logits=True)

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}


def soft_labels(tree: LabelTree, beta: float) -> np.ndarray:
    """Returns float32 [classes, classes]: in row A the soft target of an example of class A; it sums to 1."""
    closeness = np.exp(-beta * tree.distances() / tree.depth)
    return (closeness / closeness.sum(axis=1, keepdims=True)).astype(np.float32)
