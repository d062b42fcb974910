"""Requests and answers as arrays: goldens of TensorFlow Serving's JSON, and hostile ones."""

import base64
import json

import numpy as np
import orjson
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from conveyor.components.serving import open_inference, tensors
from conveyor.components.serving.errors import Refused
from conveyor.components.serving.version import Signature

BYTES = Signature("serving_default", "images", np.dtype(object), (None,), {}, dict, False)
FLOATS = Signature("tensors", "inputs", np.dtype(np.float32), (None, 2, 1), {}, dict, False)
B64 = {"b64": base64.b64encode(b"\x00\xff").decode()}
ROWS = [[[1], [2]], [[3], [4.5]]]


@pytest.mark.parametrize(
    ("document", "is_rows"),
    [
        ({"instances": [B64, B64]}, True),
        ({"instances": [{"images": B64}, {"images": B64}]}, True),
        ({"inputs": [B64, B64]}, False),
        ({"inputs": {"images": [B64, B64]}}, False),
    ],
)
def test_bytes_in_all_forms(document, is_rows):
    rows, found = tensors.from_json(document, BYTES)
    assert found == is_rows
    assert rows.dtype == object
    assert rows.tolist() == [b"\x00\xff"] * 2


def test_text_stands_for_its_bytes():
    assert tensors.from_json({"instances": ["ä"]}, BYTES)[0].tolist() == ["ä".encode()]
    assert tensors.from_json({"inputs": "ä"}, BYTES)[0].tolist() == ["ä".encode()]


@pytest.mark.parametrize(
    "document", [{"instances": ROWS}, {"inputs": ROWS}, {"instances": [{"inputs": row} for row in ROWS]}]
)
def test_numbers_in_all_forms(document):
    rows, _ = tensors.from_json(document, FLOATS)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[[1.0], [2.0]], [[3.0], [4.5]]]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected a JSON object"),
        ({}, "received an empty object"),
        ({"instance": [B64]}, "received 'instance'"),
        ({"instances": [B64], "inputs": [B64]}, "expected one of"),
        ({"instances": B64}, "no list"),
        ({"instances": []}, "is empty"),
        ({"inputs": []}, "is empty"),
        ({"instances": [{"b64": "%%%"}]}, "instances[0] is no base64"),
        ({"instances": [B64, {"b64": "AP8"}]}, "instances[1] is no base64"),
        ({"instances": [{"b64": 5}]}, "instances[0]: expected {'b64'"),
        ({"instances": [{"image": B64}]}, "expected input 'images', received 'image'"),
        ({"instances": [3]}, "instances[0]: expected {'b64'"),
        ({"instances": [None]}, "received NoneType"),
    ],
)
def test_what_is_wrong_is_told(document, message):
    with pytest.raises(Refused) as caught:
        tensors.from_json(document, BYTES)
    assert caught.value.status == 400
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [[[[1], [2]], [[3]]], [[["1"], ["2"]]], [[[None], [1]]], [[[True], [False]]], [[[1, 2]]], [1], [[]]],
)
def test_numbers_of_another_shape_or_type(values):
    with pytest.raises(Refused) as caught:
        tensors.from_json({"instances": values}, FLOATS)
    assert "[any, 2, 1]" in str(caught.value)


def test_answers_have_the_shapes_of_tensorflow_serving():
    one = {"mean": np.array([1.5, 2.5], np.float32)}
    assert _json(tensors.to_json(one, True)) == {"predictions": [1.5, 2.5]}
    assert _json(tensors.to_json(one, False)) == {"outputs": [1.5, 2.5]}
    two = {"id": np.array([3, 4]), "name": np.array([b"a", "ä".encode()], object)}
    assert _json(tensors.to_json(two, True)) == {
        "predictions": [{"id": 3, "name": "a"}, {"id": 4, "name": "ä"}]
    }
    assert _json(tensors.to_json(two, False)) == {"outputs": {"id": [3, 4], "name": ["a", "ä"]}}


def test_numbers_that_are_none_are_null():
    outputs = {"x": np.array([np.nan, np.inf, 1], np.float32), "y": np.array([1, 2, 3], np.float16)}
    assert _json(tensors.to_json(outputs, False)) == {
        "outputs": {"x": [None, None, 1.0], "y": [1.0, 2.0, 3.0]}
    }


def _json(document):
    return json.loads(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["instances", "inputs", "images", "b64", "x"]), inner, max_size=3
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused(document):
    for signature in (BYTES, FLOATS):
        for whole in (document, {"instances": document}, {"inputs": document}):
            try:
                rows, _ = tensors.from_json(whole, signature)
            except Refused as no:
                assert no.status == 400
            else:
                assert rows.dtype == signature.dtype
                assert len(rows)


# === protocol buffers ===


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
def test_numbers_come_back_as_they_were(dtype):
    array = np.array([[[0], [1]], [[2], [3]]]).astype(dtype)
    signature = Signature("s", "inputs", np.dtype(dtype), (None, 2, 1), {}, dict, False)
    for proto in (tf.make_tensor_proto(array), tensors.to_proto(array)):
        assert tensors.from_proto(proto, signature).tolist() == array.tolist()
        assert tf.make_ndarray(proto).tolist() == array.tolist()


def test_bytes_come_back_as_they_were():
    array = np.array([b"\x00", b""], object)
    assert tensors.from_proto(tf.make_tensor_proto(array), BYTES).tolist() == [b"\x00", b""]
    assert tf.make_ndarray(tensors.to_proto(array)).tolist() == [b"\x00", b""]


def test_values_of_a_list():
    proto = tf.make_tensor_proto(np.zeros((1, 2, 1), np.float32))
    proto.tensor_content = b""
    proto.float_val.extend([1.0, 2.0])
    assert tensors.from_proto(proto, FLOATS).tolist() == [[[1.0], [2.0]]]


def _bomb(*sizes, **values):
    proto = tf.make_tensor_proto(np.zeros((1, 2, 1), np.float32))
    proto.tensor_content = values.get("content", b"")
    proto.float_val.extend(values.get("floats", []))
    del proto.tensor_shape.dim[:]
    for size in sizes:
        proto.tensor_shape.dim.add().size = size
    return proto


@pytest.mark.parametrize(
    "proto",
    [
        _bomb(1 << 40, 2, 1, floats=[1.0]),  # TensorFlow would fill it up with the last value
        _bomb(-1, 2, 1, floats=[1.0, 2.0]),
        _bomb(-1, -2, 1, floats=[1.0, 2.0]),
        _bomb(1 << 62, 1 << 62, 1, floats=[1.0]),
        _bomb(1, 2, 1, content=b"123"),
        _bomb(1, 2, 1, content=b"1234"),
        _bomb(0, 2, 1),
        _bomb(floats=[1.0]),
        _bomb(1, 2, floats=[1.0, 2.0]),
    ],
)
def test_a_hostile_tensor_is_refused(proto):
    with pytest.raises(Refused) as caught:
        tensors.from_proto(proto, FLOATS)
    assert caught.value.status == 400


def test_a_tensor_of_another_type():
    with pytest.raises(Refused, match="expected DT_FLOAT, received DT_STRING"):
        tensors.from_proto(tf.make_tensor_proto([b""]), FLOATS)


def test_outputs_by_name():
    outputs = {"mean": np.zeros(1), "class_name": np.zeros(1)}
    assert list(tensors.pick(outputs, [])) == ["mean", "class_name"]
    assert list(tensors.pick(outputs, ["mean"])) == ["mean"]
    with pytest.raises(Refused, match="did you mean 'mean'"):
        tensors.pick(outputs, ["means"])


# === open inference protocol ===


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_binary_strings_come_back_as_they_were(texts):
    array = np.empty(len(texts), object)
    array[:] = texts
    raw = open_inference.to_raw(array)
    one = open_inference.Input("images", "BYTES", [len(texts)], raw=raw)
    assert open_inference._of_raw(one, np.dtype(object)).tolist() == texts


@given(st.binary(max_size=40))
def test_any_binary_data_is_read_or_refused(raw):
    one = open_inference.Input("images", "BYTES", [1], raw=raw)
    try:
        found = open_inference._of_raw(one, np.dtype(object))
    except Refused as no:
        assert no.status == 400
    else:
        assert open_inference.to_raw(found) == raw
