import contextlib
import io
import json

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from toy_config import Config, Fit, Schedule, Vit, parse, refuse

from conveyor.pipeline.config import Settings, json_schema, load_config, parse_config
from conveyor.pipeline.errors import UserError

# === good configs ===


def test_values():
    config = parse(
        "data: 'folder:x'\nmodel: {family: vit, patch: 4}\nfit:\n  epochs: 3\nschema: {warmup: 1}\n"
    )
    assert config.data == "folder:x"
    assert config.model == Vit(family="vit", patch=4)
    assert (config.fit, config.schema_) == (Fit(epochs=3), Schedule(warmup=1))


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null", "\ufeff{}"])
def test_empty_config_is_all_defaults(text):
    assert parse(text) == Config()


def test_settings_are_frozen():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        parse("").data = "other"


def test_json_schema_says_what_keys_mean():
    schema = json.loads(json_schema(Config))
    assert schema["additionalProperties"] is False
    assert "schema" in schema["properties"]
    assert schema["$defs"]["Fit"]["properties"]["rate"]["description"] == "The learning rate."


def test_load_config(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"data: x\n")
    assert load_config(file, Config, ["fit.epochs=2"]) == Config(data="x", fit=Fit(epochs=2))


# === wrong keys ===


@pytest.mark.parametrize(
    ("text", "what", "line", "fix"),
    [
        ("data: x\n\nfitt: {}\n", "unknown key 'fitt'", 3, "did you mean 'fit'?"),
        ("schema_: {}\n", "unknown key 'schema_'", 1, "did you mean 'schema'?"),
        ("fit:\n  epochs: 1\n  epoch: 2\n", "unknown key 'fit.epoch'", 3, "did you mean 'epochs'?"),
        ("fit: {zzz: 2}\n", "unknown key 'fit.zzz'", 1, "one of: epochs, rate"),
        (
            "schema:\n  warmpu: 1\n",
            "unknown key 'schema.warmpu' (1 more problems)",
            2,
            "did you mean 'warmup'?",
        ),
        (
            "model:\n  family: vit\n  patch: 4\n  head: 1\n",
            "unknown key 'model.head'",
            4,
            "did you mean 'heads'?",
        ),
        (
            "model:\n  family: cnn\n  head: 1\n",
            "unknown key 'model.head'",
            3,
            "one of: family, filters, padding",
        ),
        ("fit:\n  rate:\n    warmups: 1\n", "unknown key 'fit.rate.warmups'", 3, "did you mean 'warmup'?"),
        (
            "teachers:\n- family: cnn\n  filters: []\n  zzz: 2\n",
            "unknown key 'teachers.0.zzz'",
            4,
            "one of: family, filters, padding",
        ),
        ("augment:\n- flip: true\n- flop: true\n", "unknown key 'augment.1.flop'", 3, "did you mean 'flip'?"),
    ],
)
def test_unknown_key(text, what, line, fix):
    error = refuse(text)
    assert error.what.startswith(what)
    assert (error.where, error.fix) == (f"my.yaml, line {line}", fix)


def test_unknown_key_is_told_before_its_consequences():
    # `patch` is missing because it is misspelt
    assert refuse("model: {family: vit, pach: 4}").fix == "did you mean 'patch'?"


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("data: x\nfit: {}\ndata: y\n", "key 'data' is given twice", 3),
        ("fit:\n  epochs: 1\n  epochs: 1\n", "key 'fit.epochs' is given twice", 3),
        ("augment:\n- {crop: 1,\n  crop: 2}\n", "key 'augment.0.crop' is given twice", 3),
        ("data: x\n? [a, b]\n: y\n", "a key is not a plain word", 2),
    ],
)
def test_key_given_twice_or_not_a_word(text, what, line):
    error = refuse(text)
    assert (error.what, error.where) == (what, f"my.yaml, line {line}")


# === wrong values ===


@pytest.mark.parametrize(
    ("text", "key", "line", "received"),
    [
        ("data: x\nfit:\n  epochs: many\n", "fit.epochs", 3, "'many' (str)"),
        ("fit: {epochs: 0}\n", "fit.epochs", 1, "0 (int)"),
        ("fit:\n- epochs\n", "fit", 1, "['epochs'] (list)"),
        ("data:\n  1\n", "data", 1, "1 (int)"),
        ("model:\n  family: cnn\n  filters:\n  - 1\n  - x\n", "model.filters.1", 5, "'x' (str)"),
        ("model:\n  family: vit\n", "model.patch", 1, "nothing"),
        ("model:\n  family: mlp\n", "model.family", 2, "'mlp' (str)"),
        ("model:\n  patch: 1\n", "model.family", 1, "nothing"),
        ("model:\n- vit\n", "model", 1, "['vit'] (list)"),
        ("fit:\n  rate: fast\n", "fit.rate", 2, "'fast' (str)"),
        ("fit:\n  rate: .nan\n", "fit.rate", 2, "nan (float)"),
        ("fit:\n  rate: .inf\n", "fit.rate", 2, "inf (float)"),
        ("augment:\n- flip: 7\n", "augment.0.flip", 2, "7 (int)"),
    ],
)
def test_wrong_value(text, key, line, received):
    error = refuse(text)
    assert error.what.startswith(f"wrong value for '{key}'")
    assert (error.where, error.received) == (f"my.yaml, line {line}", received)
    assert error.expected


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("model: {family: cmn}", "did you mean 'cnn'?"),
        ("model: {family: zzz}", "one of: cnn, vit"),
        ("model: {family: cnn, padding: sane}", "did you mean 'same'?"),
        ("fit: {epochs: many}", ""),
    ],
)
def test_close_matches_of_values(text, fix):
    assert refuse(text).fix == fix


def test_count_of_further_problems():
    assert refuse("fit: {epochs: 0}\ndata: 1\n").what.endswith("(1 more problems)")


@pytest.mark.parametrize("text", ["- a\n", "word", "3"])
def test_not_a_mapping(text):
    assert refuse(text).what == "the config is not a mapping"


def test_error_of_the_whole():
    class Sum(Settings):
        a: int
        b: int

        @pydantic.model_validator(mode="after")
        def _positive(self):
            raise ValueError("a + b must be positive")

    with pytest.raises(UserError, match="the config is wrong as a whole") as caught:
        parse_config("a: 1\nb: -2\n", "my.yaml", Sum)
    assert "a + b must be positive" in caught.value.expected
    assert caught.value.where == "my.yaml"


# === texts that are no configs ===


@pytest.mark.parametrize(
    ("text", "line"),
    [("data: x\nfit: [1, 2\n", 3), ("a: b: c", 1), ("\tdata: x", 1), ("data: x\n---\ndata: y\n", 2)],
)
def test_broken_yaml(text, line):
    error = refuse(text)
    assert error.what.startswith("the config is not valid YAML")
    assert error.where == f"my.yaml, line {line}"


def test_aliases_are_refused_before_they_grow():
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(
        f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    )
    error = refuse(bomb)
    assert (error.what, error.where) == ("YAML: no alias is allowed in a config", "my.yaml, line 2")


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch hacked']",
        "!!python/name:os.system",
        "!local x",
        "!!bool x",
        "!!int ''",
        "!!timestamp x",
    ],
)
def test_tags_are_refused(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = refuse(f"fit: {{}}\ndata: {value}\n")
    assert (error.what, error.where) == ("YAML: no tag is allowed in a config", "my.yaml, line 2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "data: 2001-99-99",
        "data: " + ":".join(["1"] * 200) + ".5",
        "data: " + "9" * 5000,
        "data: \0",
        "<<: 5",
        "=: 5",
    ],
    ids=lambda text: text[:20],
)
def test_values_that_yaml_cannot_make(text):
    refuse(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "a: {" * 51 + "}" * 51, "- " * 51])
def test_deep_nesting_is_refused_before_it_takes_long(text):
    assert refuse(text).what == "YAML: no nesting deeper than 50 is allowed in a config"


@given(st.text() | st.text(alphabet="ab01:-{}[],.&*!|>'\"#%@`?~ \n\t<=_+"))
@example("16: 1")
@example("yes: 1")
@example("2001-01-01: 1")
def test_any_text_is_a_config_or_an_error_of_the_user(text):
    where = "my.yaml"
    try:
        parse(text)
    except UserError as error:
        where = error.where
    assert where.startswith("my.yaml")


@given(st.binary())
def test_any_file_is_a_config_or_an_error_of_the_user(content):
    class File:  # a path whose file need not be written for every example
        def open(self, mode):
            return io.BytesIO(content)

    with contextlib.suppress(UserError):
        load_config(File(), Config)


def test_large_file_is_refused_unread(tmp_path):
    file = tmp_path / "film.mp4"
    file.write_bytes(b"a: 1\n" + b"#" * (1 << 20))
    with pytest.raises(UserError, match="larger than 1048576 bytes") as caught:
        load_config(file, Config)
    assert caught.value.where == str(file)
    # a sparse file: reading all of it would not fit into memory
    with file.open("wb") as large:
        large.truncate(1 << 42)
    with pytest.raises(UserError, match="larger than"):
        load_config(file, Config)


def test_largest_file_that_is_read(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"data: x\n" + b"#" * ((1 << 20) - 8))
    assert load_config(file, Config).data == "x"


@pytest.mark.parametrize(("name", "reason"), [("none.yaml", "No such file"), (".", "Is a directory")])
def test_unreadable_file(tmp_path, name, reason):
    with pytest.raises(UserError, match=f"the config cannot be read: {reason}") as caught:
        load_config(tmp_path / name, Config)
    assert caught.value.where == str(tmp_path / name)
