"""TFRecord files and tf.train.Example messages, without importing TensorFlow."""

import struct
import typing

import google_crc32c
from tensorflow_datasets.proto import tf_example_pb2

Value = bytes | int | float | list[int] | list[float]


def serialize(features: dict[str, Value]) -> bytes:
    """Returns a serialised `tf.train.Example`.

    Args:
        features: Name -> bytes, int, float, or a list of ints or floats.
    """
    example = tf_example_pb2.Example()
    entries = example.features.feature
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        if not values:
            entries[name].SetInParent()  # a feature without a kind, which reads as an empty list of any
        elif isinstance(values[0], bytes):
            entries[name].bytes_list.value.extend(values)
        elif isinstance(values[0], int):
            entries[name].int64_list.value.extend(values)
        else:
            entries[name].float_list.value.extend(values)
    return example.SerializeToString(deterministic=True)


def write_record(file: typing.BinaryIO, data: bytes) -> None:
    """Appends one record to a TFRecord file.

    Source: tensorflow/core/lib/io/record_writer.cc: length, masked CRC-32C of the length, data,
    masked CRC-32C of the data; little-endian.
    """
    length = struct.pack("<Q", len(data))
    file.write(length + _masked_crc(length) + data + _masked_crc(data))


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
