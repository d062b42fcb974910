"""The tree of classes, its settings, and metrics on it."""

import numpy as np
import pydantic
import pytest

from conveyor.models.hierarchy.metrics import hierarchical_metrics
from conveyor.models.hierarchy.settings import HierarchySettings
from conveyor.models.hierarchy.tree import LabelTree
from conveyor.pipeline.config import parse_config
from conveyor.pipeline.errors import UserError

CLASSES = ["car", "cat", "dog", "rose"]
TREE = {"animal": ["cat", "dog"], "vehicle": {"road": {"car": None}}, "rose": None}


def test_distances_by_hand():
    # depth 3 (vehicle, road, car); animal is 1 above its classes; the root 3 above car
    expected = [[0, 3, 3, 3], [3, 0, 1, 3], [3, 1, 0, 3], [3, 3, 3, 0]]
    tree = LabelTree(TREE, CLASSES)
    assert tree.depth == 3
    np.testing.assert_array_equal(tree.distances(), expected)


def test_distance_within_an_uneven_group_is_the_height_of_the_group():
    tree = LabelTree({"living": {"rose": None, "animal": ["cat", "dog"]}, "car": None}, CLASSES)
    np.testing.assert_array_equal(tree.distances()[CLASSES.index("rose")], [3, 2, 2, 0])


def test_flat_tree_is_plain_classification():
    tree = LabelTree(dict.fromkeys(CLASSES), CLASSES)
    np.testing.assert_array_equal(tree.distances(), 1 - np.eye(4))


def test_groups_and_ancestors():
    tree = LabelTree(TREE, CLASSES)
    assert tree.groups() == {
        (): [0, 1, 2, 3],
        ("vehicle",): [0],
        ("vehicle", "road"): [0],
        ("vehicle", "road", "car"): [0],
        ("animal",): [1, 2],
        ("animal", "cat"): [1],
        ("animal", "dog"): [2],
        ("rose",): [3],
    }
    first, second = tree.ancestors(1), tree.ancestors(2)
    assert first[1] == first[2]
    assert len(set(first)) == 3
    assert len(set(second)) == 4


def test_metrics_by_hand():
    tree = LabelTree(TREE, CLASSES)
    truth = np.array([1, 1, 0, 3, 2])
    predicted = np.array([1, 2, 3, 3, 2])  # right, a dog for a cat (1), a rose for a car (3), right, right
    weights = np.array([[1, 1, 1, 1, 1], [0, 3, 1, 0, 0], [1, 0, 0, 1, 0]])
    found = hierarchical_metrics(tree, predicted, truth, weights)
    assert set(found) == {"hierarchical_distance", "accuracy_level_1", "accuracy_level_2"}
    np.testing.assert_allclose(found["hierarchical_distance"], [2.0, 6 / 4, np.nan])
    np.testing.assert_allclose(found["accuracy_level_1"], [4 / 5, 3 / 4, 1])
    np.testing.assert_allclose(found["accuracy_level_2"], [3 / 5, 0, 1])


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"animal": ["cat", "dgo"], "car": None, "rose": None}, "'dgo'.*did you mean 'dog'"),
        ({"animal": ["cat"], "car": None, "rose": None}, "lacks the class 'dog';"),
        ({"animal": ["cat"]}, "lacks the class 'car' \\(3 classes are missing\\)"),
        ({**TREE, "zebra": None}, "'zebra' that the data does not have"),
    ],
)
def test_tree_that_does_not_fit_the_classes(tree, told):
    with pytest.raises(ValueError, match=told):
        LabelTree(tree, CLASSES)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"a": ["x", "y"], "b": ["x"]}, "'x' is there 2 times"),
        ({"a": [], "b": None}, "group 'a' has no classes"),
        ({"a": {"b": {}}}, "group 'a/b' has no classes"),
        ({}, "no classes"),
        ({"a": "cat"}, "it is 'cat'"),
        ({"a": ["cat", ["dog"]]}, "is no name of a class"),
        ({"a": [True, "b"]}, "True is no name"),
        (["cat", "dog"], "valid dictionary"),
    ],
)
def test_settings_that_are_no_tree(tree, told):
    with pytest.raises(pydantic.ValidationError, match=told):
        HierarchySettings(tree=tree)


def test_numbers_are_names():
    text = "tree: {even: [0, 2], odd: {1: null, 3: null}}"
    settings = parse_config(text, "config", HierarchySettings)
    assert settings.tree == {"even": ["0", "2"], "odd": {"1": None, "3": None}}
    assert LabelTree(settings.tree, ["0", "1", "2", "3"]).distances()[0].tolist() == [0, 2, 1, 2]


def test_error_names_the_line():
    with pytest.raises(UserError, match="line 1") as caught:
        parse_config("tree: {a: [x, y], b: [x]}", "config", HierarchySettings)
    assert "there 2 times" in str(caught.value)
