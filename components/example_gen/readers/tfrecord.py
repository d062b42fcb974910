"""TFRecord files of encoded images, as the TensorFlow object-detection API and others write them.

`tfrecord:DIR` or `tfrecord:GLOB`. Each record is a `tf.train.Example` with one of

- `image/encoded`, and boxes: `image/object/bbox/{xmin,xmax,ymin,ymax}` relative to the image's size,
  `image/object/class/{text,label}`, optionally `image/object/{is_crowd,difficult}`;
- `image/encoded`, and a class: `image/class/{text,label}`;
- `image` and `label`.

What the first record has decides which of these all must be. Names of classes are their texts, or, for
numbers, those of a `label_map.pbtxt` beside the files, or else the numbers. Without that file all records
are read to know the classes. The split is told by a word in the file's name: train, val, test, ….
"""

import functools
import os
import pathlib
import re
import struct
import typing
from collections.abc import Iterator

import google_crc32c
from tensorflow_datasets.proto import tf_example_pb2

from conveyor.components.example_gen.readers.files import Listing, locate, read_limited
from conveyor.components.example_gen.readers.names import SPLITS, printable
from conveyor.components.example_gen.readers.raw import RawExample, RawObject
from conveyor.components.example_gen.readers.sizes import header_sizes
from conveyor.components.example_gen.readers.store import is_remote, kind_of, local_copy
from conveyor.components.example_gen.readers.values import image_size
from conveyor.pipeline.errors import UserError

USAGE = "tfrecord:DIR or tfrecord:PATTERN"
MAX_MAP_BYTES = 4 << 20
MAX_RECORD_BYTES = 512 << 20
_NAMED = re.compile(r"\.(tfrecords?|tfrec|records?)(?![a-z])", re.IGNORECASE)
_LABEL_MAP = "label_map.pbtxt"
_ITEM = re.compile(r"item\s*\{(.*?)\}", re.DOTALL)
_FIELD = re.compile(r"""\b(id|name|display_name)\s*:\s*(?:(\d{1,18})|"([^"\n]*)"|'([^'\n]*)')""")
_OBJECT = "image/object/"
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_Features = typing.Mapping[str, typing.Any]


class CorruptRecordError(Exception):
    """A record whose length or content is not as it was written; those after it cannot be found."""


class _MalformedError(Exception):
    """An example that cannot be used: a key of `REASONS`, and what exactly."""


class TFRecordReader:
    """Reads `tf.train.Example` messages, without TensorFlow.

    Args:
        pattern: A directory, or a pattern of files.

    Raises:
        UserError: There are no such files, or the first record has no image.
    """

    def __init__(self, pattern: str):
        self.folder, self._pattern = _folder_of(pattern)
        if not self._paths:
            raise UserError(
                f"data.source: there are no TFRecord files in {printable(pattern)!r}",
                expected=USAGE,
                where=printable(self.folder),
                fix="files in a folder are known by .tfrecord, .tfrecords, .tfrec or .record in their names",
            )
        if not is_remote(self.folder):
            _ = self.names, self.annotations

    @functools.cached_property
    def _listing(self) -> Listing:
        return Listing(self.folder)

    @functools.cached_property
    def _paths(self) -> list[str]:
        """The relative paths of the files."""
        if self._pattern:
            return list(self._listing.matching(self._pattern))
        return sorted(path for path in self._listing.walk() if _NAMED.search(os.path.basename(path)))

    def _local(self, path: str) -> str:
        return local_copy(os.path.join(self.folder, path))

    @functools.cached_property
    def names(self) -> dict[int, str]:
        """Number -> name of the classes in the label map; none where there is no map."""
        return _read_label_map(os.path.join(self.folder, _LABEL_MAP)) if self._listing.has(_LABEL_MAP) else {}

    @functools.cached_property
    def annotations(self) -> frozenset[str]:
        """What the first record has."""
        first, where = self._first(), printable(os.path.join(self.folder, self._paths[0]))
        if not {"image/encoded", "image"} & first.keys():
            raise UserError(
                "data.source: the first record holds no image",
                expected="image/encoded, or image",
                received=", ".join(printable(name) for name in sorted(first)[:20]) or "no features",
                where=where,
            )
        return frozenset({"objects" if any(name.startswith(_OBJECT) for name in first) else "label"})

    def _first(self) -> _Features:
        """Returns the features of the first record that can be read."""
        for path in self._paths:
            for example in self._parsed(path):
                if example is not None:
                    return example
        where = printable(os.path.join(self.folder, self._paths[0]))
        raise UserError("data.source: there is no record that can be read", where=where)

    def _parsed(self, path: str) -> Iterator[_Features | None]:
        """Yields the features of each record, None for one that is no example, as far as records go."""
        try:
            for _, data in read_records(self._local(path)):
                yield _features(data)
        except (CorruptRecordError, OSError):
            return  # is told when it is read

    @functools.cached_property
    def _present(self) -> set[str]:
        found: set[str] = set()
        for path in self._paths:
            for features in self._parsed(path):
                try:
                    found |= set(self._class_names(features)) if features is not None else set()
                except _MalformedError:
                    continue
        return found - {""}

    def classes(self) -> list[str]:
        if self.names:
            return [name for _, name in sorted(self.names.items())]
        return sorted(
            self._present, key=lambda name: (0, int(name), "") if _is_number(name) else (1, 0, name)
        )

    def splits(self) -> set[str]:
        return {split for _, split in self.chunks()} - {""}

    def fingerprint(self, workspace: pathlib.Path) -> str:
        maps = [_LABEL_MAP] if self._listing.has(_LABEL_MAP) else []
        return self._listing.fingerprint([*self._paths, *maps], workspace)

    def chunks(self) -> list[tuple[str, str]]:
        """Returns relative path and split of each file: a file can only be read from its beginning."""
        return [(path, _split_of(path)) for path in self._paths]

    def read(self, chunk: tuple[str, str]) -> Iterator[RawExample]:
        path, split = chunk
        file, index = printable(path), -1
        try:
            for index, (offset, data) in enumerate(read_records(self._local(path))):
                yield self._example(f"{file}:{index}", split, offset, data)
        except CorruptRecordError as no:
            yield RawExample(
                f"{file}:{index + 1}", "", split, None, f"{no}; the rest is not read", "truncated"
            )
        except OSError as error:
            yield RawExample(f"{file}:{index + 1}", "", split, None, str(error.strerror))

    def _example(self, key: str, split: str, offset: int, data: bytes) -> RawExample:
        try:
            features = _features(data)
            if features is None:
                raise _MalformedError("malformed", "no tf.train.Example")
            return self._image(key, split, features)
        except _MalformedError as no:
            return RawExample(key, "", split, None, f"record at byte {offset}: {no.args[1]}", no.args[0])

    def _image(self, key: str, split: str, features: _Features) -> RawExample:
        found = _values(features, "image/encoded", bytes) or _values(features, "image", bytes)
        if len(found) != 1 or not found[0]:
            raise _MalformedError("empty" if len(found) < 2 else "malformed", f"{len(found)} images")
        key = " ".join([key, *map(_text, _values(features, "image/filename", bytes)[:1])]).strip()
        labels = self._class_names(features)
        if unknown := sorted(set(labels) - set(self.names.values())) if self.names else []:
            raise _MalformedError("unknown_class", f"class {unknown[0]!r} is not in {_LABEL_MAP}")
        if "objects" in self.annotations:
            size = _size(features)
            objects = _objects(features, labels, size or _shown_size(found[0]))
            return RawExample(key, "", split, found[0], objects=objects, size=size)
        if len(labels) != 1 or not labels[0]:
            reason = "malformed" if len(labels) > 1 else "missing_annotation"
            raise _MalformedError(reason, f"{len(labels)} classes for one image")
        return RawExample(key, labels[0], split, found[0], size=_size(features))

    def _class_names(self, features: _Features) -> list[str]:
        """Returns the classes of the objects, or of the image."""
        prefixes = (f"{_OBJECT}class/",) if "objects" in self.annotations else ("image/class/", "")
        for prefix in prefixes:
            texts = _values(features, f"{prefix}text", bytes) if prefix else []
            label = features.get(f"{prefix}label")
            kind = bytes if label is not None and label.WhichOneof("kind") == "bytes_list" else int
            numbers = _values(features, f"{prefix}label", kind)
            if texts and any(texts):
                return [_text(text) for text in texts]
            if numbers:
                return [_text(n) if isinstance(n, bytes) else self.names.get(n, str(n)) for n in numbers]
        return []

    def __getstate__(self) -> dict[str, typing.Any]:
        return {"folder": self.folder, "names": self.names, "annotations": self.annotations}


def read_records(path: str) -> Iterator[tuple[int, bytes]]:
    """Yields offset and content of each record of a TFRecord file.

    Source: tensorflow/core/lib/io/record_reader.cc; see `records.write_record`.

    Raises:
        CorruptRecordError: A checksum is wrong, or the file ends within a record.
    """
    size = os.path.getsize(path)
    with open(path, "rb", buffering=1 << 20) as file:
        offset = 0
        while offset < size:
            head, corrupt = file.read(12), f"the record at byte {offset} is corrupt"
            if head[:2] == b"\x1f\x8b" and offset == 0:
                raise CorruptRecordError("the file is compressed with gzip: unpack it")
            if len(head) < 12 or head[8:] != _masked_crc(head[:8]):
                raise CorruptRecordError(f"{corrupt}: its length")
            (length,) = struct.unpack("<Q", head[:8])
            if length > min(size - offset - 16, MAX_RECORD_BYTES):
                raise CorruptRecordError(
                    f"{corrupt}: {length} bytes, more than are there or {MAX_RECORD_BYTES}"
                )
            if _masked_crc(data := file.read(length)) != file.read(4):
                raise CorruptRecordError(f"{corrupt}: its content")
            yield offset, data
            offset += 16 + length


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _folder_of(pattern: str) -> tuple[str, str]:
    """Returns the folder in which to look, and the pattern below it; no pattern for all of the folder."""
    folder, rest = pattern, ""
    if kind_of(os.path.expanduser(pattern)) != "directory":
        folder = os.path.dirname(re.split(r"[*?\[]", pattern, maxsplit=1)[0])
        rest = pattern[len(folder) :].lstrip("/")
        folder = folder or "."
    path, is_folder = locate(folder if pattern else "", USAGE)
    if not is_folder:
        raise UserError("data.source: this is no folder", expected=USAGE, where=printable(path))
    return path, rest


def _read_label_map(path: str) -> dict[int, str]:
    """Returns number -> name. Source: object_detection/protos/string_int_label_map.proto."""
    try:
        text = read_limited(path, MAX_MAP_BYTES).decode("utf-8", "replace")
    except OSError as error:
        received = str(error.strerror)
        raise UserError(
            "data.source: the label map cannot be read", received=received, where=printable(path)
        ) from error
    names: dict[int, str] = {}
    items = [{m[1]: m[2] or m[3] or m[4] for m in _FIELD.finditer(item)} for item in _ITEM.findall(text)]
    for fields in items:
        name, number = fields.get("name") or fields.get("display_name"), fields.get("id") or ""
        if name and number.isdecimal():
            names[int(number)] = name
    if not items or len(set(names.values())) < len(items):
        raise UserError(
            "data.source: a class in the label map lacks id or name, or is there twice", where=printable(path)
        )
    return names


def _split_of(path: str) -> str:
    """Returns the split that words in a path name; "" for none, or for several."""
    found = {SPLITS[word] for word in re.split(r"[^a-z]+", path.lower()) if word in SPLITS}
    return found.pop() if len(found) == 1 else ""


def _features(data: bytes) -> _Features | None:
    try:
        return tf_example_pb2.Example.FromString(data).features.feature
    except Exception:  # the kinds depend on protobuf's implementation
        return None


def _values(features: _Features, name: str, kind: type) -> list[typing.Any]:
    """Returns the values of a feature; none where it is not there.

    Raises:
        _MalformedError: They are of another kind.
    """
    if name not in features or (has := features[name].WhichOneof("kind")) is None:
        return []
    wanted = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[kind]
    if has != wanted:
        raise _MalformedError("malformed", f"{name} is a {has}, expected {wanted}")
    return list(getattr(features[name], wanted).value)


def _size(features: _Features) -> tuple[int, int] | None:
    """Returns the width and height that the message says."""
    try:
        sides = [_values(features, f"image/{side}", int) for side in ("width", "height")]
    except _MalformedError:
        return None
    return image_size(*sides[0], *sides[1]) if [len(side) for side in sides] == [1, 1] else None


def _shown_size(data: bytes) -> tuple[int, int]:
    """Returns the width and height of an image as it is shown."""
    if sizes := header_sizes(data):
        return sizes[1]
    raise _MalformedError("unreadable", "the header of the image is broken")


def _objects(features: _Features, labels: list[str], size: tuple[int, int]) -> tuple[RawObject, ...]:
    """Returns the objects, whose boxes are in shares of a width and height."""
    sides = [_values(features, f"{_OBJECT}bbox/{side}", float) for side in _SIDES]
    count = len(labels)
    flags = [_values(features, f"{_OBJECT}{name}", int) or [0] * count for name in ("is_crowd", "difficult")]
    if {len(values) for values in (*sides, *flags)} != {count}:
        lengths = ", ".join(f"{len(values)} {name}" for name, values in zip(_SIDES, sides, strict=True))
        raise _MalformedError("malformed", f"lists of objects differ in length: {count} classes, {lengths}")
    width, height = size
    return tuple(
        RawObject(
            label, (x1 * width, y1 * height, x2 * width, y2 * height), bool(crowd), None, bool(difficult)
        )
        for label, x1, y1, x2, y2, crowd, difficult in zip(labels, *sides, *flags, strict=True)
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal() and len(name) < 25
