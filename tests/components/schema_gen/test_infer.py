"""The schema of statistics, as a text that a user can edit."""

import pytest

from conveyor.components.artifacts import Schema, Statistics
from conveyor.components.schema_gen.infer import infer_schema, read_schema, to_text
from conveyor.components.schema_gen.settings import SchemaGenSettings
from conveyor.components.schema_gen.stage import schema_gen
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context

CLASSES = {"猫": 3, 'a "quoted" name': 2, "back\\slash": 1, " spaces ": 1, "none yet": 0}
TRAIN = {
    "classes": CLASSES,
    "formats": {"JPEG": 6, "PNG": 1},
    "modes": {"L": 1, "RGB": 6},
    "width": {"min": 20.0, "max": 30.0},
    "height": {"min": 10.0, "max": 10.0},
}
TEST = {**TRAIN, "classes": {"猫": 0, "none yet": 5}, "width": {"min": 1.0, "max": 99.0}}
DOCUMENT = {"test": TEST, "train": TRAIN}


def domains(schema):
    return {domain.name: list(domain.value) for domain in schema.string_domain}


def ranges(schema):
    return {
        feature.name: (feature.int_domain.min, feature.int_domain.max)
        for feature in schema.feature
        if feature.HasField("int_domain")
    }


def test_what_the_training_split_says():
    schema = infer_schema(DOCUMENT)
    assert domains(schema) == {
        "label": ["猫", 'a "quoted" name', "back\\slash", " spaces "],
        "format": ["JPEG", "PNG"],
        "mode": ["L", "RGB"],
    }
    assert ranges(schema) == {"width": (20, 30), "height": (10, 10)}
    features = {feature.name: feature for feature in schema.feature}
    assert list(features) == ["image", "label", "format", "mode", "width", "height"]
    assert features["image"].WhichOneof("domain_info") == "image_domain"
    assert features["label"].domain == "label"
    assert all(features[name].presence.min_fraction == 1 for name in features if name != "image")


def test_without_a_training_split_the_first_counts():
    assert domains(infer_schema({"test": TEST}))["label"] == ["none yet"]
    assert ranges(infer_schema({"test": TEST}))["width"] == (1, 99)


def test_text_and_back(tmp_path):
    schema = infer_schema(DOCUMENT)
    path = tmp_path / "schema.pbtxt"
    path.write_text(to_text(schema), encoding="utf-8")
    assert read_schema(path) == schema


def test_an_edited_text(tmp_path):
    """As a user writes it: with comments, in another order, with less in it."""
    path = tmp_path / "schema.pbtxt"
    path.write_text(
        "# mine\nstring_domain { name: 'label' value: 'cat' value: \"dog\" }\n"
        "feature { name: 'width'; type: INT; int_domain { max: 64 } }\n"
    )
    schema = read_schema(path)
    assert domains(schema) == {"label": ["cat", "dog"]}
    assert ranges(schema) == {"width": (0, 64)}
    assert not schema.feature[0].int_domain.HasField("min")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('feature { name: "a" }\nfeatur { name: "b" }\n', r'2:1 : .*no field named "featur"'),
        ("feature {\n  name: width\n}\n", r"2:9 : "),
        ("\nfeature {\n", r'2:9 : Expected "}"'),
        ("feature { type: 'INTEGER' }", r"1:17 : "),
    ],
)
def test_broken_text(tmp_path, content, message):
    path = tmp_path / "schema.pbtxt"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_schema(path)
    assert caught.value.where == str(path)
    assert caught.value.what.startswith("the schema cannot be parsed")


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "schema.pbtxt"
    path.write_bytes(infer_schema(DOCUMENT).SerializeToString() + b"\xff")
    with pytest.raises(UserError, match="no text in UTF-8"):
        read_schema(path)


def test_the_stage(tmp_path):
    statistics, schema = Statistics(tmp_path / "statistics"), Schema(tmp_path / "schema")
    statistics.path.mkdir()
    schema.path.mkdir()
    statistics.write(DOCUMENT)
    schema_gen(statistics=statistics, schema=schema, settings=SchemaGenSettings(), context=Context())
    assert read_schema(schema.file) == infer_schema(statistics.read())
    assert set(domains(read_schema(schema.file))["label"]) == set(CLASSES) - {"none yet"}
