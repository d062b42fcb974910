import contextlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from toy_config import Fit, Schedule, Step, parse, refuse

from conveyor.pipeline.errors import UserError


@pytest.mark.parametrize(
    ("override", "read", "expected"),
    [
        ("fit.epochs=3", lambda c: c.fit.epochs, 3),
        ("fit.rate=1e-3", lambda c: c.fit.rate, 0.001),
        ("fit.rate.warmup=5", lambda c: c.fit.rate, Schedule(warmup=5)),
        ("fit.rate={warmup: 5}", lambda c: c.fit.rate, Schedule(warmup=5)),
        ("schema.warmup=7", lambda c: c.schema_.warmup, 7),
        ("data=a=b", lambda c: c.data, "a=b"),
        (" data =x", lambda c: c.data, "x"),
        ("data='3'", lambda c: c.data, "3"),
        ("model.filters=[8, 16]", lambda c: c.model.filters, [8, 16]),
        ("model.filters.1=9", lambda c: c.model.filters, [4, 9]),
        ("augment.0.crop=3", lambda c: c.augment, [Step(flip=True, crop=3)]),
        ("augment=[]", lambda c: c.augment, []),
        ("extra.a.b=null", lambda c: c.extra, {"a": {"b": None}}),
        ("extra.a=", lambda c: c.extra, {"a": None}),
        ("extra.a=yes", lambda c: c.extra, {"a": True}),
        # no YAML, so taken as it is
        ("data={workspace}/serving", lambda c: c.data, "{workspace}/serving"),
        ("data=*.png", lambda c: c.data, "*.png"),
        ("data=[a", lambda c: c.data, "[a"),
        ("data=2001-99-99", lambda c: c.data, "2001-99-99"),
        ("data=!x", lambda c: c.data, "!x"),
    ],
)
def test_override(override, read, expected):
    config = parse("model: {family: cnn, filters: [4, 5]}\naugment: [{flip: true}]\n", override)
    assert read(config) == expected


def test_later_overrides_win():
    assert parse("", "fit={epochs: 2, rate: 1}", "fit.epochs=3").fit == Fit(epochs=3, rate=1.0)


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
PARTS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)


@given(st.lists(PARTS, min_size=1, max_size=4), st.recursive(LEAVES, st.lists, max_leaves=4))
def test_overrides_round_trip_with_types(parts, value):
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    config = parse("", f"extra.{'.'.join(parts)}={text}")
    found = config.extra
    for part in parts:
        found = found[part]
    assert (repr(found), type(found)) == (repr(value), type(value))


@pytest.mark.parametrize(
    ("override", "what", "fix"),
    [
        ("fit.epoch=3", "unknown key 'fit.epoch'", "did you mean 'epochs'?"),
        ("fits.epochs=3", "unknown key 'fits'", "did you mean 'fit'?"),
        ("fit={epoch: 3}", "unknown key 'fit.epoch'", "did you mean 'epochs'?"),
        ("model={family: vit, pach: 1}", "unknown key 'model.pach'", "did you mean 'patch'?"),
        ("model.family=cn", "wrong value for 'model.family'", "did you mean 'cnn'?"),
        ("fit.epochs=many", "wrong value for 'fit.epochs'", ""),
        ("fit={epochs: many}", "wrong value for 'fit.epochs'", ""),
        ("model.filters=3", "wrong value for 'model.filters'", ""),
        ("0=1", "wrong value for '0'", ""),
    ],
)
def test_override_of_unknown_key_or_wrong_value(override, what, fix):
    error = refuse("fit: {epochs: 1}\nmodel: {family: cnn, filters: [1]}\n", override)
    assert error.what.startswith(what)
    # not the line of the file, where all is well
    assert (error.where, error.fix) == (f"-o {override}", fix)


def test_override_hides_the_lines_of_what_it_replaces():
    error = refuse("model:\n  family: vit\n  patch: 4\n", "model={family: vit}")
    assert (error.what, error.where) == ("wrong value for 'model.patch'", "-o model={family: vit}")


@pytest.mark.parametrize("key", ["fit.epochs", "model.filters.0"])
def test_override_below_a_plain_value(key):
    error = refuse("fit: {epochs: 1}\nmodel: {family: cnn, filters: [1]}\n", f"{key}.x=3")
    assert error.what.startswith(f"wrong value for '{key}'")
    assert error.received == "{'x': 3} (dict)"


@pytest.mark.parametrize("override", ["", "fit.epochs", "=3", " =3", "fit..epochs=3", ".fit=3", "fit.=3"])
def test_malformed_override(override):
    error = refuse("", override)
    assert (error.what, error.received) == ("an override is not of the form key=value", f"-o {override}")


@pytest.mark.parametrize("override", ["augment.1.flip=true", "augment.first.flip=true", "augment.5={}"])
def test_override_of_an_item_that_is_not_there(override):
    error = refuse("augment: [{flip: true}]\n", override)
    assert "of a list of 1" in error.what
    assert error.received == f"-o {override}"


@pytest.mark.parametrize("part", ["\u00b2", "9" * 5000])  # a digit to str.isdigit; too long for int
def test_part_that_is_no_index(part):
    assert refuse("", f"{part}=1").what.startswith(f"unknown key '{part}'")


@given(st.text(), st.text())
def test_any_override_is_one_or_an_error_of_the_user(key, value):
    with contextlib.suppress(UserError):
        parse("augment: [{flip: true}]\n", f"{key}={value}")
