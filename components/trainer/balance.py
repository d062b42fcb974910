"""Rare classes count as much as common ones: by weight, or by number of draws."""

import numpy as np


def class_weights(counts: np.ndarray) -> np.ndarray:
    """Returns the weight of an example of each class; over all examples they average 1.

    Args:
        counts: int [classes]: training examples of each class.

    Returns:
        float32 [classes]: n / (k * count), k the classes that have examples; 0 for others.

    Source: King and Zeng, "Logistic regression in rare events data", Political Analysis 9(2), 2001.
    """
    counts = np.asarray(counts, np.float64)
    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)


def balanced_order(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Returns which examples an epoch has, in order: as many of each class, give or take one.

    A class with too few examples gives each of them several times, and equally often, give or take one;
    of one with too many, each epoch draws others.

    Args:
        labels: int [n]: class of each example.
        seed: Of the training.
        epoch: From 0. The result depends on seed, epoch and labels alone, so that training can be resumed.

    Returns:
        int64 [n], in [0, n).
    """
    random = np.random.default_rng([seed, epoch])
    classes = random.permutation(np.unique(labels))  # by turns, who gets one more where n is no multiple
    sizes = np.full(len(classes), len(labels) // len(classes))
    sizes[: len(labels) % len(classes)] += 1
    members = (np.flatnonzero(labels == label) for label in classes)
    drawn = [_draw(own, size, random) for own, size in zip(members, sizes, strict=True)]
    return random.permutation(np.concatenate(drawn))


def _draw(members: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Returns `size` members, none of them twice more often than another."""
    whole, rest = divmod(size, len(members))
    return np.concatenate([np.tile(members, whole), random.permutation(members)[:rest]])
