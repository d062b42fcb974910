import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from conveyor.components.label_errors.folds import FOLDS, assign_folds, bundle


def test_bundles_are_joined_through_content_and_group():
    hashes = ["a", "b", "a", "c", "d", "e"]
    groups = ["", "g", "h", "h", "", "g"]
    found = bundle(hashes, groups)
    assert found[0] == found[2] == found[3]  # a is in group h, as is c
    assert found[1] == found[5]
    assert len({found[0], found[1], found[4]}) == 3


def test_no_group_is_not_a_group():
    assert len(set(bundle(["a", "b", "c"], ["", "", ""]))) == 3


rows = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from(["", "g", "h"]), st.integers(0, 2)))


@given(rows)
def test_folds_never_share_content_or_group(examples):
    hashes, groups, labels = ([row[part] for row in examples] for part in range(3))
    folds = assign_folds(bundle(hashes, groups), np.array(labels, int))
    assert all(0 <= fold < FOLDS for fold in folds)
    for values in (hashes, groups):
        for value in set(values) - {""}:
            assert len({fold for fold, other in zip(folds, values, strict=True) if other == value}) == 1


def test_each_fold_has_its_share_of_each_class():
    labels = np.arange(100) % 4
    folds = assign_folds(np.arange(100), labels)
    counts = np.zeros((4, FOLDS), int)
    np.add.at(counts, (labels, folds), 1)
    assert (counts == 5).all()
