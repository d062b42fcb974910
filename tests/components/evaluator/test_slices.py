import numpy as np
import pyarrow as pa
import pytest
from judged import make_examples

from conveyor.components.evaluator.slices import cut
from conveyor.pipeline.errors import UserError


def cut_by(tmp_path, *kinds, ids=None, metric="accuracy", measured=("accuracy",), **columns):
    examples = make_examples(tmp_path / "examples", **columns)
    count = len(next(iter(columns.values())))
    ids = np.array([str(number) for number in range(count)]) if ids is None else ids
    return cut(examples, "test", ids, kinds, metric, measured)


def test_categories_in_order_without_small_ones(tmp_path):
    groups = ["b"] * 40 + ["a"] * 30 + ["rare"] * 29 + [""] * 50
    slices, left_out = cut_by(tmp_path, "group", group=groups)
    assert [(part.name, part.examples) for part in slices] == [("group a", 30), ("group b", 40)]
    assert left_out == 1
    np.testing.assert_array_equal(np.flatnonzero(slices[0].rows), np.arange(40, 70))


def test_thirds_keep_equal_values_together(tmp_path):
    values = np.array([1.0] * 50 + [2.0] * 70 + [3.0] * 30)
    slices, _ = cut_by(tmp_path, "sharpness", sharpness=values)
    assert [(part.name, part.examples) for part in slices] == [
        ("sharpness low (1 to 1)", 50),
        ("sharpness middle (2 to 2)", 70),
        ("sharpness high (3 to 3)", 30),
    ]


def test_size_is_the_root_of_the_area(tmp_path):
    sides = np.repeat([10, 20, 40], 30)
    slices, _ = cut_by(tmp_path, "size", width=sides * 2, height=sides // 2)
    assert [part.name for part in slices] == [
        "size low (10 to 10)",
        "size middle (20 to 20)",
        "size high (40 to 40)",
    ]


def objects(*sides, crowd=False):
    return [{"area": float(side * side), "crowd": crowd} for side in sides]


def test_object_size_is_the_median_of_an_image_and_none_without_objects(tmp_path):
    rows = [objects(4, 8, 90)] * 30 + [objects(20)] * 30 + [objects(40) + objects(1, crowd=True)] * 30
    slices, left_out = cut_by(tmp_path, "object_size", objects=[*rows, *[[]] * 40])
    assert [(part.name, part.examples) for part in slices] == [
        ("object_size low (8 to 8)", 30),
        ("object_size middle (20 to 20)", 30),
        ("object_size high (40 to 40)", 30),
    ]
    assert left_out == 0
    assert not np.any([part.rows[90:] for part in slices])


def test_objects_are_counted_without_crowds(tmp_path):
    rows = [[]] * 40 + [objects(3) + objects(9, crowd=True)] * 40 + [objects(3, 3, 3)] * 40
    slices, _ = cut_by(tmp_path, "objects", objects=rows)
    assert [part.name for part in slices] == [
        "objects low (0 to 0)",
        "objects middle (1 to 1)",
        "objects high (3 to 3)",
    ]


def test_no_objects_at_all_make_no_slice(tmp_path):
    empty = pa.array([[]] * 40, pa.list_(pa.struct([("area", pa.float32()), ("crowd", pa.bool_())])))
    assert cut_by(tmp_path, "object_size", objects=empty) == ([], 0)


@pytest.mark.parametrize("kind", ["brightness", "format"])
def test_what_is_the_same_for_all_is_no_slice(tmp_path, kind):
    value = "png" if kind == "format" else 3.0
    assert cut_by(tmp_path, kind, **{kind: [value] * 60}) == ([], 0)


def test_facts_are_found_by_id_whatever_their_order(tmp_path):
    labels, order = np.arange(80) % 2, np.random.default_rng(0).permutation(80)
    ids = np.array([str(number) for number in order])
    slices, _ = cut_by(tmp_path, "class", ids=ids, label=labels)
    np.testing.assert_array_equal(slices[1].rows, order % 2 == 1)


def test_slices_of_a_kind_part_the_examples(tmp_path):
    values = np.random.default_rng(1).normal(size=200).round(1)
    slices, left_out = cut_by(tmp_path, "brightness", "class", brightness=values, label=np.arange(200) % 2)
    assert left_out == 0
    for parts in (slices[:3], slices[3:]):
        assert np.sum([part.rows for part in parts], axis=0).tolist() == [1] * 200


def test_classes_of_examples_without_a_class(tmp_path):
    nothing = [-1] * 40
    with pytest.raises(UserError, match="no class each"):
        cut_by(tmp_path, "class", label=nothing)
    own = ("AP50", "AP50/cat", "AP50/dog")
    slices, _ = cut_by(tmp_path / "other", "class", label=nothing, metric="AP50", measured=own)
    assert [(part.metric, part.examples) for part in slices] == [("AP50/cat", 40), ("AP50/dog", 40)]
    assert all(part.rows.all() for part in slices)
