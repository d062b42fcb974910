"""Losses on a tree of classes, against values worked by hand and against the definition."""

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.hierarchy.losses import (
    ConditionalCrossentropy,
    SoftLabelCrossentropy,
    hierarchical_loss,
    soft_labels,
)
from conveyor.models.hierarchy.settings import HierarchySettings
from conveyor.models.hierarchy.tree import LabelTree

CLASSES = ["car", "cat", "dog", "rose"]  # not the tree's order
TREE = {"animal": ["cat", "dog"], "vehicle": {"road": {"car": None}}, "rose": None}
PROBABILITIES = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
LOGITS = np.log(PROBABILITIES) + 3.0  # logits are known up to a constant


def one_hot(label):
    return np.eye(len(CLASSES), dtype=np.float32)[[label]]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        # cat: the step to animal (0.2 + 0.3), then from animal to cat (0.2 / 0.5)
        (1, -math.log(0.5) - math.exp(-0.7) * math.log(0.4)),
        # car: the steps to vehicle (0.1), to road and to car, which are certain
        (0, -math.log(0.1)),
        # rose: one step
        (3, -math.log(0.4)),
    ],
)
def test_conditional_by_hand(label, expected):
    loss = ConditionalCrossentropy(TREE, CLASSES, alpha=0.7)
    assert float(loss(one_hot(label), LOGITS)) == pytest.approx(expected, rel=1e-5)


def test_soft_labels_by_hand():
    # depth 3: cat and dog meet at animal, 1 step above; all else meet at the root, 3 steps above
    near, far = math.exp(-2 / 3), math.exp(-2)
    total = 1 + near + 2 * far
    expected = [far / total, 1 / total, near / total, far / total]
    np.testing.assert_allclose(soft_labels(LabelTree(TREE, CLASSES), 2.0)[1], expected, rtol=1e-6)
    loss = SoftLabelCrossentropy(TREE, CLASSES, beta=2.0)
    cost = -sum(share * math.log(p) for share, p in zip(expected, PROBABILITIES[0], strict=True))
    assert float(loss(one_hot(1), LOGITS)) == pytest.approx(cost, rel=1e-5)


def logits_and_targets(seed):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (6, 4)).astype(np.float32)
    return logits, random.dirichlet(np.ones(4), 6).astype(np.float32)


def by_definition(tree, logits, targets, alpha):
    p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=1, keepdims=True)
    groups = LabelTree(tree, CLASSES).groups()
    cost = np.zeros(len(logits))
    for label, path in enumerate(LabelTree(tree, CLASSES).paths):
        for step, (above, node) in enumerate(itertools.pairwise([(), *path])):
            share = p[:, groups[node]].sum(axis=1) / p[:, groups[above]].sum(axis=1)
            cost -= targets[:, label] * math.exp(-alpha * step) * np.log(share)
    return cost


@hypothesis.given(seed=st.integers(0, 100), alpha=st.floats(0, 3))
@hypothesis.settings(max_examples=20, deadline=None)
def test_conditional_is_its_definition_also_for_mixed_targets(seed, alpha):
    logits, targets = logits_and_targets(seed)
    loss = ConditionalCrossentropy(TREE, CLASSES, alpha, reduction="none")
    expected = by_definition(TREE, logits, targets, alpha)
    np.testing.assert_allclose(loss(targets, logits), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_discount_and_with_sharp_targets_they_are_cross_entropy(smoothing):
    logits, targets = logits_and_targets(0)
    plain = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = float(plain(targets, logits))
    losses = [
        ConditionalCrossentropy(TREE, CLASSES, 0.0, smoothing),
        SoftLabelCrossentropy(TREE, CLASSES, 200.0, smoothing),
    ]
    assert [float(loss(targets, logits)) for loss in losses] == pytest.approx([expected] * 2, rel=1e-5)


def test_gradient_lives_where_probabilities_vanish():
    logits = tf.constant([[300.0, 0.0, 0.0, 0.0]])
    loss = ConditionalCrossentropy(TREE, CLASSES, 0.5)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(one_hot(1), logits)
    gradient = tape.gradient(value, logits).numpy()
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert gradient[0, 1] < -0.4 < 0.4 < gradient[0, 0]


def test_near_mistake_costs_less_than_far_one():
    near, far = np.log([[0.05, 0.15, 0.75, 0.05]]), np.log([[0.75, 0.15, 0.05, 0.05]])
    for loss in (ConditionalCrossentropy(TREE, CLASSES, 0.5), SoftLabelCrossentropy(TREE, CLASSES, 3.0)):
        assert float(loss(one_hot(1), near)) < float(loss(one_hot(1), far))


def test_saved_with_a_model(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    model.compile("sgd", ConditionalCrossentropy(TREE, CLASSES, 0.3, 0.1))
    model.save(tmp_path / "model.keras")
    loss = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True).loss
    assert isinstance(loss, ConditionalCrossentropy)
    assert (loss.alpha, loss.label_smoothing) == (0.3, 0.1)
    again = SoftLabelCrossentropy.from_config(SoftLabelCrossentropy(TREE, CLASSES, 4.0).get_config())
    assert again.beta == 4.0
    logits, targets = logits_and_targets(1)
    assert float(loss(targets, logits)) == float(model.loss(targets, logits))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("conditional", ConditionalCrossentropy),
        ("soft_labels", SoftLabelCrossentropy),
        ("none", keras.losses.CategoricalCrossentropy),
    ],
)
def test_loss_of_settings(name, kind):
    loss = hierarchical_loss(HierarchySettings(tree=TREE, loss=name, alpha=0.3, beta=7), CLASSES, 0.2)
    assert type(loss) is kind
    assert loss.get_config()["label_smoothing"] == 0.2
    expected = {"conditional": ("alpha", 0.3), "soft_labels": ("beta", 7.0), "none": ("from_logits", True)}
    key, value = expected[name]
    assert loss.get_config()[key] == value
