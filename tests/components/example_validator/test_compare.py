"""Skew and drift: found where distributions differ, silent for what chance explains."""

import pytest
from documents import brief, objects, split, statistics

from conveyor.components.example_validator.compare import find_drift, find_skew
from conveyor.components.schema_gen.infer import infer_schema
from conveyor.components.schema_gen.text import parse_schema


def skew(document, text=None, severity="warning"):
    schema = infer_schema(document) if text is None else parse_schema(text, "here")
    return find_skew(document, schema, severity)


def drift(document, before, severity="warning"):
    return find_drift(document, before, infer_schema(document), severity)


def test_equal_splits():
    assert skew(statistics()) == []
    assert drift(statistics(), statistics()) == []


@pytest.mark.parametrize("severity", ["warning", "error"])
def test_skew_of_classes(severity):
    (one,) = skew(statistics(test=split(cat=95, dog=5)), severity=severity)
    assert brief([one]) == [("skew", severity, "test")]
    assert (
        "the share of label 'cat' is 0.500 in train and 0.950 in test, a difference of 0.450" in one["long"]
    )
    assert "the schema allows 0.05" in one["long"]
    assert one["pictures"] == []


def test_skew_of_numbers():
    found = skew(statistics(validation=split(brightness=(150, 180), width=(500, 600))))
    assert brief(found) == [("skew", "warning", "validation")] * 2
    assert "width is distributed differently in train and validation (medians 2" in found[0]["long"]
    assert "Jensen-Shannon divergence 1.000; the schema allows 0.1" in found[1]["long"]


def test_a_tiny_split_raises_no_alarm():
    assert skew(statistics(test=split(cat=3, dog=0, brightness=(91, 93)))) == []


def test_without_a_training_split_the_first_is_compared_with():
    found = skew({"a": split(), "b": {"examples": 0}, "c": split(cat=95, dog=5)})
    assert [one["split"] for one in found] == ["c"]
    assert skew({"train": {"examples": 0}}) == []


def comparator(measure, threshold, name="label"):
    return f"feature {{ name: '{name}' skew_comparator {{ {measure} {{ threshold: {threshold} }} }} }}"


@pytest.mark.parametrize(
    ("measure", "threshold", "found"),
    [
        ("infinity_norm", 0.44, 1),
        ("infinity_norm", 0.46, 0),
        ("infinity_norm", 1, 0),
        ("jensen_shannon_divergence", 0.1, 1),
        ("jensen_shannon_divergence", 0.5, 0),
    ],
)
def test_thresholds_of_the_schema(measure, threshold, found):
    document = statistics(test=split(cat=95, dog=5))
    assert len(skew(document, comparator(measure, threshold))) == found


def test_what_the_schema_does_not_compare():
    document = statistics(test=split(cat=95, dog=5, brightness=(1, 2)))
    assert skew(document, "feature { name: 'label' }") == []
    assert skew(document, comparator("jensen_shannon_divergence", 0.1, "sharpness")) == []  # not measured


def test_a_class_on_one_side_only():
    document = {"train": split(), "test": {**split(), "classes": {"emu": 100}}}
    (one,) = skew(document, comparator("infinity_norm", 0.05))
    assert "'emu' is 0.000 in train and 1.000 in test" in one["long"]


def test_objects_count_as_the_images_they_are_in():
    many = {"cells": 900, "nuclei": 100, "most": 60, "least": 20}
    document = {
        "train": split(objects=objects(**many, images=200)),
        "test": split(objects=objects(cells=500, nuclei=500, images=100, most=60, least=20)),
    }
    (one,) = skew(document)
    assert "the share of objects/label 'cell' is 0.900 in train and 0.500 in test" in one["long"]
    document["test"] = split(objects=objects(cells=50, nuclei=50, images=5, most=60, least=20))
    assert skew(document) == []


def test_sizes_of_objects():
    document = {
        "train": split(objects=objects(images=80)),
        "test": split(objects=objects(images=80, size=(90, 99))),
    }
    (one,) = skew(document)
    assert "objects/size is distributed differently" in one["long"]


def test_no_object_on_one_side():
    none = {**objects(), "count": 0, "classes": {"cell": 0}, "size": None, "aspect": None}
    assert skew({"train": split(objects=objects()), "test": split(objects=none)}) == []


def test_drift_is_that_of_all_splits_together():
    before = statistics()
    (one,) = drift(statistics(train=split(cat=400, dog=10)), before, "error")
    assert brief([one]) == [("drift", "error", "")]
    assert "'cat' is 0.500 in the last blessed run and 0.820 in this run" in one["long"]
    # what went from one split to another is no drift
    assert drift(statistics(train=split(cat=90, dog=10), test=split(cat=10, dog=90)), before) == []


def test_a_baseline_that_knows_less():
    """As written before there were sketches or objects."""
    old = {"train": {"examples": 100, "classes": {"cat": 50, "dog": 50}, "width": {"min": 1, "max": 2}}}
    assert drift({"train": split(objects=objects())}, old) == []
    assert len(drift({"train": split(cat=99, dog=1)}, old)) == 1
