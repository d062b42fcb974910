"""Data against schema and needs: each anomaly found where it is, and not where it is not."""

import pytest
from documents import brief, objects, split, statistics

from conveyor.components.example_validator.checks import check_needs, check_schema
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.components.schema_gen.infer import infer_schema
from conveyor.components.schema_gen.text import parse_schema


def check(document=None, text=None, needs=()):
    document = document or statistics()
    schema = infer_schema(document) if text is None else parse_schema(text, "here")
    return check_schema(document, schema, list(needs))


def need(document=None, annotations=("label",), **settings):
    return check_needs(document or statistics(), list(annotations), ExampleValidatorSettings(**settings))


# === needs ===


def test_clean_data():
    assert check(needs=["label"]) == []
    assert need(needs=["label"]) == []


def test_an_empty_split():
    document = statistics(validation={"examples": 0})
    del document["test"]
    (one,) = need(document)
    assert brief([one]) == [("empty_split", "error", "test")]
    assert "split test holds no example" in one["long"]
    assert need(document, required_splits=["train"]) == []
    found = need(document, required_splits=["validation", "extra"])
    assert [one["split"] for one in found] == ["validation", "extra"]
    assert check(document) == []


def test_an_annotation_the_task_needs():
    (one,) = need(annotations=["mask", "objects"], needs=["mask", "label"])
    assert brief([one]) == [("missing_need", "error", "")]
    assert "needs label with each example, and the data has mask and objects only" in one["long"]


@pytest.mark.parametrize(("needs", "severity"), [(["label"], "error"), ([], "warning")])
def test_one_class_only(needs, severity):
    document = {name: split(dog=0) for name in ("train", "test")}
    rare, one = need(document, needs=needs)
    assert brief([rare, one]) == [("rare_class", "warning", ""), ("one_class", severity, "")]
    assert "'dog'" in rare["long"]
    assert "'cat'" in one["long"]
    assert need({**document, "test": split(cat=0)}, needs=needs) == []


# === classes ===


def test_an_unknown_class():
    found = check(statistics(train=split(dog=0)))
    assert brief(found) == [
        ("unknown_class", "error", "validation"),
        ("unknown_class", "error", "test"),
    ]
    assert "50 examples of split test are of class 'dog'" in found[1]["long"]


def test_many_unknown_classes_are_one_anomaly():
    many = {f"class {number}": 1 for number in range(30)}
    (one,) = check({"train": split(), "test": {**split(), "classes": {"cat": 1, "dog": 69, **many}}})
    assert "and 20 more" in one["long"]
    assert len(one["long"]) < 400


def test_a_missing_class():
    (one,) = check(statistics(validation=split(cat=0)))
    assert brief([one]) == [("missing_class", "warning", "validation")]
    assert "split validation holds no example of class 'cat': nothing is measured there" in one["long"]


def test_a_class_of_the_users_schema_that_cannot_be_learnt():
    text = "feature { name: 'label' string_domain { value: 'cat' value: 'dog' value: 'elk' } }"
    found = check({"train": split(), "test": split()}, text)
    assert brief(found) == [("missing_class", "warning", "train"), ("missing_class", "warning", "test")]
    assert "they cannot be learnt" in found[0]["long"]


def test_formats_and_modes():
    document = statistics(test={**split(), "formats": {"PNG": 99, "GIF": 1}, "modes": {"RGB": 100}})
    found = check(document)
    assert brief(found) == [("unknown_format", "warning", "test"), ("unknown_mode", "warning", "test")]
    assert "1 example of split test have the format 'GIF'; the schema knows 'PNG'" in found[0]["long"]


def test_a_schema_that_says_nothing():
    assert check(statistics(test=split(dog=0, width=(1, 999))), "") == []


# === ranges ===


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"width": (19, 30)}, "width_range", "width from 19 to 30; the schema says 20 to 30"),
        ({"width": (20, 31)}, "width_range", "width from 20 to 31; the schema says 20 to 30"),
        ({"height": (10, 1_048_576)}, "height_range", "height from 10 to 1048576; the schema says 10 to 12"),
    ],
)
def test_a_size_outside(changed, kind, said):
    (one,) = check(statistics(test=split(**changed)))
    assert brief([one]) == [(kind, "warning", "test")]
    assert said in one["long"]


def test_a_size_within():
    assert check(statistics(test=split(width=(25, 25), height=(10, 12)))) == []


@pytest.mark.parametrize(
    ("limits", "found"), [("max: 30", 0), ("max: 29", 3), ("min: 20", 0), ("min: 21", 3)]
)
def test_a_range_with_one_end(limits, found):
    text = f"feature {{ name: 'width' int_domain {{ {limits} }} }}"
    assert len(check(text=text)) == found


def test_a_range_of_floats():
    # 90.1 is no 32-bit float: the one next to it is larger
    text = "feature { name: 'brightness' float_domain { min: 90.1 max: 200 } }"
    assert check({"train": split(brightness=(90.1, 200))}, text) == []
    (one,) = check({"train": split(brightness=(90, 200))}, text)
    assert one["kind"] == "brightness_range"


# === presence ===


@pytest.mark.parametrize(("needs", "severity"), [(["label"], "error"), ([], "warning")])
def test_examples_without_a_label(needs, severity):
    (one,) = check(statistics(test=split(unlabelled=3)), needs=needs)
    assert brief([one]) == [("missing_values", severity, "test")]
    assert "3 examples of 103 in split test have no label" in one["long"]


def test_a_share_of_labels_that_will_do():
    text = "feature { name: 'label' presence { min_fraction: 0.97 min_count: 50 } }"
    assert check({"train": split(unlabelled=3)}, text) == []
    assert len(check({"train": split(unlabelled=4)}, text)) == 1
    assert len(check({"train": split(cat=40, dog=9)}, text)) == 1


def test_what_the_data_does_not_have_at_all():
    text = "feature { name: 'mask' presence { min_fraction: 1 } }"
    (one,) = check({"train": split()}, text)
    assert brief([one]) == [("missing_values", "warning", "train")]


# === objects and masks ===


def test_objects_like_those_of_the_training_split():
    document = {
        "train": split(objects=objects()),
        "test": split(objects=objects(empty=2, most=12, size=(6, 60))),
    }
    assert check(document) == []


@pytest.mark.parametrize(
    ("changed", "kind", "severity", "said"),
    [
        ({"most": 13}, "objects_count", "warning", "have 2 to 13 objects; the schema says 0 to 12"),
        ({"size": (4, 40)}, "objects_size_range", "warning", "objects/size from 4 to 40"),
        ({"nuclei": 0}, "missing_class", "warning", "no object of class 'nucleus'"),
    ],
)
def test_objects_unlike_those_of_the_training_split(changed, kind, severity, said):
    (one,) = check({"train": split(objects=objects()), "test": split(objects=objects(**changed))})
    assert brief([one]) == [(kind, severity, "test")]
    assert said in one["long"]


def test_an_unknown_class_of_objects():
    (one,) = check({"train": split(objects=objects(nuclei=0)), "test": split(objects=objects())})
    assert brief([one]) == [("unknown_class", "error", "test")]
    assert "10 objects of split test are of class 'nucleus'" in one["long"]


def test_no_objects_in_a_split():
    none = {**objects(), "count": 0, "classes": {"cell": 0, "nucleus": 0}, "size": None, "aspect": None}
    (one,) = check({"train": split(objects=objects()), "test": split(objects=none)})
    assert one["kind"] == "missing_class"
    text = "feature { name: 'objects' presence { min_fraction: 1 } }"
    (one,) = check({"train": split(objects=objects(empty=1))}, text)
    assert "1 example of 100" in one["long"]


def test_masks():
    known, other = (
        {"shares": {}, "images": images} for images in ({"sky": 4, "sea": 0}, {"sky": 0, "sea": 4})
    )
    found = check({"train": split(mask=known), "test": split(mask=other)})
    assert brief(found) == [("unknown_class", "error", "test"), ("missing_class", "warning", "test")]
    assert "4 masks of split test are of class 'sea'" in found[0]["long"]


def test_a_class_with_one_image_is_told():
    """A needs two in all: b has one in each of two splits, which will do; c has one, d none."""
    document = {
        "train": {"examples": 5, "classes": {"a": 3, "b": 1, "c": 1, "d": 0}},
        "test": {"examples": 2, "classes": {"a": 1, "b": 1, "c": 0, "d": 0}},
    }
    found = check_needs(document, ["label"], ExampleValidatorSettings(needs=["label"]))
    assert [(anomaly["kind"], anomaly["severity"]) for anomaly in found] == [("rare_class", "warning")]
    assert "'c', 'd'" in found[0]["long"]
