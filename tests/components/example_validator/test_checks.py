"""Each anomaly: found where it is, not found where it is not, and what is said of it."""

import copy
import json

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from conveyor.components.artifacts import Anomalies, Examples, Schema, Statistics
from conveyor.components.example_validator.checks import find_anomalies
from conveyor.components.example_validator.settings import ExampleValidatorSettings
from conveyor.components.example_validator.stage import example_validator
from conveyor.components.schema_gen.infer import infer_schema, to_text
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context


def split(cat=5, dog=5, width=(20, 30), height=(10, 12)):
    return {
        "examples": cat + dog,
        "classes": {"cat": cat, "dog": dog},
        "formats": {"PNG": cat + dog},
        "modes": {"L": cat + dog},
        "width": {"min": width[0], "max": width[1]},
        "height": {"min": height[0], "max": height[1]},
        "bytes": {"min": 70, "max": 2_000_000},
    }


def statistics(**changed):
    return {"train": split(), "validation": split(), "test": split(), **changed}


def rows(count, reason="truncated", folder="cat"):
    return [
        {"file": f"{folder}/{number}.png", "reason": reason, "detail": "of it"} for number in range(count)
    ]


def check(document=None, schema=None, quarantine=(), read=100, **settings):
    document = document or statistics()
    schema = schema or infer_schema(document)
    return find_anomalies(document, schema, list(quarantine), read, ExampleValidatorSettings(**settings))


def brief(anomalies):
    return [(one["kind"], one["severity"], one["split"]) for one in anomalies]


def test_clean_data():
    assert check() == []


def test_every_anomaly_has_the_same_fields():
    document = statistics(test=split(cat=0, width=(1, 99)))
    found = check(document, quarantine=rows(1))
    assert len(found) == 3
    for one in found:
        assert set(one) == {"kind", "severity", "split", "short", "long", "examples"}
        assert one["short"]
        assert one["long"]


@pytest.mark.parametrize(
    ("bad", "read", "limit", "severity"),
    [
        (1, 100, 0.01, "warning"),
        (1, 99, 0.01, "error"),
        (3, 300, 0.01, "warning"),
        (29, 100, 0.29, "warning"),
        (1, 10_000, 0, "error"),
        (10, 10, 1, "warning"),
    ],
)
def test_the_share_set_aside(bad, read, limit, severity):
    (one,) = check(quarantine=rows(bad), read=read, max_quarantine=limit)
    assert brief([one]) == [("truncated", severity, "")]
    assert f"{bad} of {read} files were set aside as truncated, such as cat/0.png" in one["long"]
    assert ("data.max_quarantine is" in one["long"]) == (severity == "error")


def test_each_reason_is_told():
    found = check(quarantine=[*rows(2), *rows(30, "empty", "dog")], read=1000)
    assert brief(found) == [("empty", "error", ""), ("truncated", "error", "")]
    assert "3.20% in all, and data.max_quarantine is 1.00%" in found[0]["long"]
    assert found[0]["examples"] == [f"dog/{number}.png" for number in range(10)]
    assert found[1]["examples"] == ["cat/0.png", "cat/1.png"]
    assert found[0]["short"] == "30 files set aside: empty"


def test_an_empty_split():
    document = statistics()
    del document["test"]
    (one,) = check(document)
    assert brief([one]) == [("empty_split", "error", "test")]
    assert "split test holds no example" in one["long"]
    assert check(document, required_splits=["train"]) == []
    found = check(statistics(), required_splits=["train", "extra"])
    assert brief(found) == [("empty_split", "error", "extra")]


def test_without_a_training_split():
    found = check({"test": split()})
    assert brief(found) == [("empty_split", "error", "train")]


def test_an_unknown_class():
    document = statistics(train=split(dog=0))
    found = check(document)
    assert brief(found) == [
        ("unknown_class", "error", "validation"),
        ("unknown_class", "error", "test"),
    ]
    assert "5 examples of split test are of class 'dog'" in found[1]["long"]
    assert found[1]["short"] == "class dog is not in the schema"


def test_a_missing_class():
    (one,) = check(statistics(validation=split(cat=0)))
    assert brief([one]) == [("missing_class", "warning", "validation")]
    assert "split validation holds no example of class 'cat'" in one["long"]


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
    assert "split test" in one["long"]


def test_a_size_within():
    assert check(statistics(test=split(width=(25, 25), height=(10, 12)))) == []


def test_the_gravest_first():
    document = statistics(validation=split(cat=0), test=split(dog=0))
    document["extra"] = {**split(), "classes": {"cat": 1, "dog": 1, "elk": 7}}
    found = check(document)
    assert [one["severity"] for one in found] == ["error", "warning", "warning"]
    assert "7 examples of split extra are of class 'elk'" in found[0]["long"]


# === schemas that were edited ===


def edited(text):
    return text_format.Parse(
        "string_domain { name: 'label' value: 'cat' value: 'dog' } " + text, schema_pb2.Schema()
    )


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ("max: 30", 0),
        ("max: 29", 3),
        ("min: 20", 0),
        ("min: 21", 3),
        ("", 0),
    ],
)
def test_a_range_with_one_end(limits, found):
    schema = edited(f"feature {{ name: 'width' type: INT int_domain {{ {limits} }} }}")
    assert len(check(schema=schema)) == found


def test_a_range_of_bytes():
    schema = edited("feature { name: 'bytes' type: INT int_domain { max: 1000000 } }")
    found = check(schema=schema)
    assert brief(found)[0] == ("bytes_range", "warning", "train")
    assert "bytes from 70 to 2000000; the schema says -inf to 1000000" in found[0]["long"]


def test_a_range_of_what_is_not_measured():
    schema = edited("feature { name: 'widht' type: INT int_domain { max: 64 } }")
    with pytest.raises(UserError, match="range of widht, which is not measured") as caught:
        check(schema=schema)
    assert "'width'" in caught.value.fix


def test_a_schema_without_classes():
    schema = text_format.Parse("string_domain { name: 'labels' value: 'cat' }", schema_pb2.Schema())
    with pytest.raises(UserError, match="does not say which classes") as caught:
        check(schema=schema)
    assert caught.value.received == "labels"
    with pytest.raises(UserError, match="does not say which classes") as caught:
        check(schema=schema_pb2.Schema(feature=[{"name": "width"}]))
    assert caught.value.received == "no string_domain"


# === the stage ===


@pytest.fixture
def judge(tmp_path):
    """Runs the stage; returns its output."""

    def judge(document, quarantine, read, **settings):
        inputs = {"examples": Examples, "statistics": Statistics, "schema": Schema, "anomalies": Anomalies}
        artifacts = {name: kind(tmp_path / name) for name, kind in inputs.items()}
        for artifact in artifacts.values():
            artifact.path.mkdir()
        lines = [json.dumps(row) + "\n" for row in quarantine]
        artifacts["examples"].quarantine_file.write_text("".join(lines), encoding="utf-8")
        artifacts["examples"].properties["read"] = read
        artifacts["statistics"].write(document)
        artifacts["schema"].file.write_text(to_text(infer_schema(document)), encoding="utf-8")
        example_validator(**artifacts, settings=ExampleValidatorSettings(**settings), context=Context())
        return artifacts["anomalies"]

    return judge


def test_clean_data_pass(judge):
    anomalies = judge(statistics(), [], 30)
    assert anomalies.read() == []
    assert anomalies.properties == {"summary": {"anomalies": 0}}


def test_warnings_pass(judge):
    anomalies = judge(statistics(test=split(cat=0)), rows(1), 100)
    assert [one["severity"] for one in anomalies.read()] == ["warning", "warning"]
    assert anomalies.properties == {"summary": {"anomalies": 2}}


def test_errors_close_the_gate(judge):
    document = statistics(train=split(dog=0))
    before = copy.deepcopy(document)
    anomalies = judge(document, rows(3), 100)
    assert document == before
    assert anomalies.properties["summary"] == {"anomalies": 3}
    gate = anomalies.properties["gate"]
    assert gate["reason"].startswith("the data did not pass: 3 of 100 files were set aside")
    assert "3.00% in all, and data.max_quarantine is 1.00%" in gate["reason"]
    assert "class 'dog'" in gate["reason"]
    assert gate["fix"]


def test_the_gate_says_nothing_of_warnings(judge):
    anomalies = judge(
        statistics(validation=split(cat=0), test=split(cat=0)), [], 100, required_splits=["extra"]
    )
    assert anomalies.properties["summary"] == {"anomalies": 3}
    assert "class 'cat'" not in anomalies.properties["gate"]["reason"]
    assert "split extra" in anomalies.properties["gate"]["reason"]
