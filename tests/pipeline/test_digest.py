import copy
import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conveyor.pipeline.digest import digest_file, digest_of, list_files

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


def reorder(value):
    if isinstance(value, dict):
        return {key: reorder(value[key]) for key in reversed(value)}
    return [reorder(item) for item in value] if isinstance(value, list) else value


def leaves(value, path=()):
    """Returns the paths of everything in a value that holds no further value."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, item in items for found in leaves(item, (*path, key))]
    return [path]


def test_digest_is_the_same_in_every_version():
    # workspaces outlive releases: a change here re-runs everything that users have
    assert digest_of({"b": [1, 2.5, None], "a": "é"}) == "84afbf1d4853005f9dd0c81cb1819b53"


@given(VALUES)
def test_order_of_keys_does_not_matter(value):
    assert digest_of(reorder(value)) == digest_of(value)


@given(VALUES, LEAVES, st.data())
def test_every_value_matters(value, other, data):
    path = data.draw(st.sampled_from(leaves(value)))
    changed = {"root": copy.deepcopy(value)}
    target, key = changed, "root"
    for part in path:
        target, key = target[key], part
    assume((type(target[key]), repr(target[key])) != (type(other), repr(other)))
    target[key] = other
    assert digest_of(changed["root"]) != digest_of(value)


@given(st.dictionaries(st.text(), LEAVES, min_size=1), st.text())
def test_every_key_matters(value, name):
    assume(name not in value)
    renamed = {**value, name: value[next(iter(value))]}
    del renamed[next(iter(value))]
    assert digest_of(renamed) != digest_of(value)


@given(st.lists(LEAVES, min_size=2, unique_by=repr))
def test_order_of_items_matters(items):
    assert digest_of(items) != digest_of(items[::-1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_refuses_what_json_lacks(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of(value)


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 5000])  # the last is two blocks
def test_digest_of_file(tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    assert digest_file(file) == hashlib.sha256(content).hexdigest()[:32]


def test_list_files(tmp_path):
    for name in ("b", "a/z", "a/b/c", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    assert list_files(tmp_path) == ["a.txt", "a/b/c", "a/z", "b"]
