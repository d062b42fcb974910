"""The schema as a text that a user edits, and everything that may be wrong with it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_infer import DOCUMENT, OBJECTS, TRAIN

from conveyor.components.artifacts import Schema, Statistics
from conveyor.components.schema_gen.features import by_path
from conveyor.components.schema_gen.infer import infer_schema
from conveyor.components.schema_gen.settings import SchemaGenSettings
from conveyor.components.schema_gen.stage import schema_fingerprint, schema_gen
from conveyor.components.schema_gen.text import parse_schema, read_text, to_text
from conveyor.pipeline.errors import UserError
from conveyor.pipeline.stage import Context

WHOLE = {"train": {**TRAIN, "objects": OBJECTS, "mask": {"images": {"sky": 1}}}}


@pytest.mark.parametrize("document", [DOCUMENT, WHOLE, {"train": {"examples": 0}}])
def test_text_and_back(document):
    schema = infer_schema(document)
    text = to_text(schema)
    assert parse_schema(text, "here") == schema
    assert text == to_text(infer_schema(document))
    assert text.startswith("# ")


def test_the_text_is_for_reading():
    text = to_text(infer_schema(WHOLE))
    assert "猫" in text
    assert '# The class of an image.\nfeature {\n  name: "label"' in text


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.just(1), min_size=1))
def test_any_name_of_a_class_survives(classes):
    schema = infer_schema({"train": {"examples": 1, "classes": classes}})
    again = parse_schema(to_text(schema).encode().decode(), "here")
    assert list(again.string_domain[0].value) == list(classes)


def test_an_edited_text():
    """As a user writes it: with comments, in another order, with less in it."""
    schema = parse_schema(
        "# mine\nstring_domain { name: 'label' value: 'cat' value: \"dog\" }\n"
        "feature { name: 'width'; type: INT; int_domain { max: 64 } }\n"
        "feature { name: 'objects' struct_domain { feature { name: 'size' float_domain { min: 4 } } } }\n",
        "here",
    )
    assert list(by_path(schema)) == ["width", "objects", "objects/size"]
    assert not schema.feature[0].int_domain.HasField("min")


@pytest.mark.parametrize(
    ("text", "message", "where", "fix"),
    [
        ('feature { name: "mode" }\nfeatur {\n}', r'2:1 : .*no field named "featur"', "my:2", ""),
        ("feature {\n  name: width\n}\n", r"2:9 : ", "my:2", ""),
        ("\nfeature {\n", r'2:9 : Expected "}"', "my:2", ""),
        ("feature { type: 'INTEGER' }", r"1:17 : ", "my:1", ""),
        ("\n\nfeature { name: 'widht' }", "speaks of 'widht', which is not measured", "my:3", "'width'"),
        (
            "feature { name: 'objects'\nstruct_domain { feature { name: 'sizes' } } }",
            "speaks of 'objects/sizes'",
            "my:2",
            "'objects/size'",
        ),
        ("feature { name: 'size' }", "speaks of 'size'", "my:1", ""),
        (
            "feature { name: 'label' domain: 'lable' }\nstring_domain { name: 'label' }",
            "no string_domain 'lable', which 'label' names",
            "my:1",
            "'label'",
        ),
        ("feature { name: 'width' value_count { min: 1 } }", "says value_count of 'width'", "my:1", ""),
        ("feature { name: 'label' int_domain { min: 1 } }", "says int_domain of 'label'", "my:1", ""),
        (
            "feature { name: 'width' drift_comparator { infinity_norm { threshold: 1 } } }",
            "compares 'width' by infinity_norm",
            "my:1",
            "jensen_shannon_divergence",
        ),
        ("feature { struct_domain { " * 3000, "cannot be parsed", "my", ""),
    ],
)
def test_what_is_wrong_with_it(text, message, where, fix):
    with pytest.raises(UserError, match=message) as caught:
        parse_schema(text, "my")
    assert caught.value.where == where
    assert fix in caught.value.fix


@given(st.text(st.sampled_from("feature {}name:'width'int_domain mi#\n\\x0")))
def test_any_text_is_a_schema_or_refused(text):
    with contextlib.suppress(UserError):
        parse_schema(text, "my")


# === the stage ===


@pytest.fixture
def make(tmp_path):
    """Runs the stage; returns the text that it wrote."""
    statistics, schema = Statistics(tmp_path / "statistics"), Schema(tmp_path / "schema")
    statistics.path.mkdir()
    schema.path.mkdir()
    statistics.write(DOCUMENT)

    def make(file=""):
        settings = SchemaGenSettings(file=str(file))
        schema_gen(statistics=statistics, schema=schema, settings=settings, context=Context())
        return schema.file.read_text(encoding="utf-8")

    return make


def test_inferred(make):
    names = sorted(name for name, count in DOCUMENT["train"]["classes"].items() if count)
    assert list(parse_schema(make(), "here").string_domain[0].value) == names


def test_the_file_of_the_user_is_taken_as_it_is(make, tmp_path):
    text = "# Kept.\nfeature { name: 'width' int_domain { max: 64 } }\n"
    (tmp_path / "mine.pbtxt").write_text(text)
    assert make(tmp_path / "mine.pbtxt") == text


def test_a_bad_file_of_the_user(make, tmp_path):
    file = tmp_path / "mine.pbtxt"
    file.write_text("\nfeature { name: 'heigth' }")
    with pytest.raises(UserError, match="heigth") as caught:
        make(file)
    assert caught.value.where == f"{file}:2"
    assert "'height'" in caught.value.fix


def test_files_that_cannot_be_used(make, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="No such file"):
        make(tmp_path / "none")
    with pytest.raises(UserError, match="Is a directory"):
        make(tmp_path)
    (tmp_path / "binary").write_bytes(infer_schema(DOCUMENT).SerializeToString() + b"\xff")
    with pytest.raises(UserError, match="no text in UTF-8"):
        make(tmp_path / "binary")
    monkeypatch.setattr("conveyor.components.schema_gen.text._MOST_BYTES", 10)
    (tmp_path / "large").write_text("#" * 11)
    with pytest.raises(UserError, match="too large"):
        make(tmp_path / "large")
    (tmp_path / "fits").write_text("#" * 10)
    assert read_text(tmp_path / "fits") == "#" * 10


def test_the_key_holds_what_is_in_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.pbtxt"
    file.write_text("one")
    first = schema_fingerprint(SchemaGenSettings(file="mine.pbtxt"), tmp_path)
    assert schema_fingerprint(SchemaGenSettings(file=str(file)), tmp_path) == first
    file.write_text("two")
    assert schema_fingerprint(SchemaGenSettings(file="mine.pbtxt"), tmp_path) != first
    assert schema_fingerprint(SchemaGenSettings(), tmp_path) == ""
