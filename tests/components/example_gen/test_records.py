"""Records and examples, byte for byte against TensorFlow's own."""

import io
import tempfile

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from conveyor.components.example_gen.records import serialize, write_record


def written(records):
    file = io.BytesIO()
    for record in records:
        write_record(file, record)
    return file.getvalue()


def written_by_tensorflow(records):
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            for record in records:
                writer.write(record)
        return file.read()


def test_a_record_by_hand():
    # Length 3 and its masked CRC-32C; "abc" (CRC-32C 0x364B3FB7) and its masked CRC.
    # Masked: rotated right by 15 bits, plus 0xA282EAD8: 0x7F6E6C96 + 0xA282EAD8 = 0x21F1576E.
    data = written([b"abc"])
    assert data[:8] == b"\x03" + bytes(7)
    assert data[12:15] == b"abc"
    assert data[15:] == bytes.fromhex("6e57f121")


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_records_are_those_of_tensorflow(records):
    assert written(records) == written_by_tensorflow(records)


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
def test_records_of_any_size_can_be_read(tmp_path, size):
    record = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "records").write_bytes(written([record, b"next"]))
    found = list(tf.data.TFRecordDataset(str(tmp_path / "records")).as_numpy_iterator())
    assert found == [record, b"next"]


def tensorflows_example(features):
    def feature(value):
        values = value if isinstance(value, list) else [value]
        kind = next(iter(values), None)
        if kind is None:
            return tf.train.Feature()
        if isinstance(kind, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(kind, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    entries = {name: feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=entries))


integers = st.integers(-(2**63), 2**63 - 1)
numbers = st.floats(width=32, allow_nan=False)
values = st.one_of(st.binary(), integers, numbers, st.lists(integers), st.lists(numbers))


@given(st.dictionaries(st.text(max_size=5), values, min_size=1, max_size=4))
def test_examples_are_those_of_tensorflow(features):
    expected = tensorflows_example(features)
    assert serialize(features) == expected.SerializeToString(deterministic=True)


def test_an_example_as_training_parses_it():
    data = serialize({"image": b"\0\xff", "label": 3, "area": 0.5, "boxes": [1.0, 2.0], "none": []})
    parsed = tf.io.parse_single_example(
        data,
        {
            "image": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "area": tf.io.FixedLenFeature([], tf.float32),
            "boxes": tf.io.FixedLenFeature([2], tf.float32),
            "none": tf.io.RaggedFeature(tf.float32),
        },
    )
    assert (parsed["image"].numpy(), parsed["label"].numpy(), parsed["area"].numpy()) == (b"\0\xff", 3, 0.5)
    assert (parsed["boxes"].numpy().tolist(), parsed["none"].numpy().tolist()) == ([1.0, 2.0], [])


def test_the_order_of_features_makes_no_difference():
    assert serialize({"a": 1, "b": 2}) == serialize({"b": 2, "a": 1})
