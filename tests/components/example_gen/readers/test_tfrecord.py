"""TFRecord files of others."""

import io
import pickle
import random

import pytest
from small_images import damage, encode, noise, with_orientation, write_files
from tensorflow_datasets.proto import tf_example_pb2

from conveyor.components.example_gen.readers.raw import REASONS, RawObject
from conveyor.components.example_gen.readers.tfrecord import CorruptRecordError, TFRecordReader, read_records
from conveyor.components.example_gen.records import write_record
from conveyor.pipeline.errors import UserError

IMAGE = encode(noise(10, 20))
MAP = b"item {\n  id: 1\n  name: 'cat'\n}\nitem { name: \"dog\" id: 2 display_name: 'Dog' }\n"


def example(**features):
    """Returns a message; "_" in names stands for "/", values are lists."""
    message = tf_example_pb2.Example()
    for name, values in features.items():
        feature = message.features.feature[name.replace("_", "/").replace("is/crowd", "is_crowd")]
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values[0])]
        getattr(feature, kind).value.extend(values)
    return message.SerializeToString()


def boxes(count=2, **more):
    sides = {f"image_object_bbox_{side}": [0.1 * n for n in range(1, count + 1)] for side in ("xmin", "ymin")}
    sides |= {f"image_object_bbox_{side}": [0.5] * count for side in ("xmax", "ymax")}
    return {"image_encoded": [IMAGE], "image_object_class_label": [1, 2][:count]} | sides | more


def records(*messages):
    file = io.BytesIO()
    for message in messages:
        write_record(file, message)
    return file.getvalue()


def read(pattern):
    """Returns the reader and key -> example."""
    reader = TFRecordReader(str(pattern))
    reader.classes()
    chunks, worker = pickle.loads(pickle.dumps((reader.chunks(), reader)))  # noqa: S301
    examples = [example for chunk in chunks for example in worker.read(chunk)]
    found = {example.key: example for example in examples}
    assert len(found) == len(examples), "keys are unique"
    assert all(bool(e.data) or (e.error and e.reason in REASONS) for e in examples)
    return reader, found


def folder(tmp_path, files):
    return write_files(tmp_path / "data", files)


def test_boxes(tmp_path):
    more = {"image_filename": [b"x.png"], "image_object_is_crowd": [0, 1], "image_object_difficult": [1, 0]}
    files = {"a-train-0.tfrecord": records(example(**boxes(**more))), "label_map.pbtxt": MAP}
    reader, found = read(folder(tmp_path, files))
    assert (reader.annotations, reader.classes(), reader.splits()) == ({"objects"}, ["cat", "dog"], {"train"})
    (one,) = found.values()
    assert (one.key, one.split, one.data) == ("a-train-0.tfrecord:0 x.png", "train", IMAGE)
    first, second = one.objects
    assert first.box == pytest.approx((2, 1, 10, 5))
    assert second.box == pytest.approx((4, 2, 10, 5))
    assert [(o.label, o.crowd, o.difficult) for o in one.objects] == [
        ("cat", False, True),
        ("dog", True, False),
    ]


def test_texts_go_before_numbers(tmp_path):
    data = records(example(**boxes(image_object_class_text=[b"owl", b"cat"])), example(image_encoded=[IMAGE]))
    reader, found = read(folder(tmp_path, {"a.record-00000-of-00001": data}))
    assert reader.classes() == ["cat", "owl"]
    assert [len(one.objects) for one in found.values()] == [2, 0]
    assert isinstance(next(iter(found.values())).objects[0], RawObject)


@pytest.mark.parametrize(
    ("features", "label"),
    [
        ({"image_encoded": [IMAGE], "image_class_label": [2]}, "2"),
        ({"image_encoded": [IMAGE], "image_class_label": [2], "image_class_text": [b"dog"]}, "dog"),
        ({"image": [IMAGE], "label": [7]}, "7"),
        ({"image": [IMAGE], "label": [b"owl"]}, "owl"),
    ],
)
def test_labels(tmp_path, features, label):
    reader, found = read(folder(tmp_path, {"val/a.tfrecord": records(example(**features)), "note.txt": b""}))
    assert (reader.annotations, reader.classes(), reader.splits()) == ({"label"}, [label], {"validation"})
    assert [(one.label, one.split, one.data) for one in found.values()] == [(label, "validation", IMAGE)]


def test_patterns(tmp_path):
    good = records(example(image=[IMAGE], label=[1]))
    path = folder(tmp_path, {"a.bin": good, "b.bin": good, "label_map.pbtxt": MAP})
    reader, found = read(path / "*.bin")
    assert set(found) == {"a.bin:0", "b.bin:0"}
    assert reader.classes() == ["cat", "dog"]
    assert len({reader.fingerprint(tmp_path), TFRecordReader(str(path / "a.bin")).fingerprint(tmp_path)}) == 2
    for pattern in ("", str(path), str(path / "*.none")):
        with pytest.raises(UserError):
            TFRecordReader(pattern)


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (boxes(image_object_class_label=[1]), "malformed"),
        (boxes(image_object_class_label=[b"1", b"2"]), "unknown_class"),
        (boxes(image_object_class_label=[1, 3]), "unknown_class"),
        (boxes(image_object_bbox_xmin=[1, 2]), "malformed"),
        (boxes(image_object_is_crowd=[1]), "malformed"),
        (boxes(image_encoded=[b"no image"]), "unreadable"),
        (boxes(image_encoded=[b""]), "empty"),
        (boxes(image_encoded=[IMAGE, IMAGE]), "malformed"),
        (boxes(image_encoded=[1]), "malformed"),
        ({"image_object_class_label": [1]}, "empty"),
    ],
)
def test_faults_of_examples(tmp_path, features, reason):
    data = records(example(**boxes()), example(**features), b"\xff", example(**boxes()))
    _, found = read(folder(tmp_path, {"a.tfrecord": data, "label_map.pbtxt": MAP}))
    assert [one.reason for one in found.values() if one.data is None] == [reason, "malformed"]
    assert len(found) == 4
    assert all("record at byte" in one.error for one in found.values() if one.data is None)


def test_faults_of_labels(tmp_path):
    good = {"image": [IMAGE], "label": [1]}
    data = records(example(**good), example(image=[IMAGE]), example(image=[IMAGE], label=[1, 2]))
    _, found = read(folder(tmp_path, {"a.tfrecord": data}))
    assert [one.reason for one in found.values() if one.data is None] == ["missing_annotation", "malformed"]


def test_a_corrupt_record_ends_its_file(tmp_path):
    good = records(example(image=[IMAGE], label=[1]))
    for place, what in (
        (len(good) + 3, "length"),
        (len(good) + 40, "content"),
        (2 * len(good) - 2, "content"),
    ):
        data = bytearray(good * 3)
        data[place] ^= 1
        _, found = read(folder(tmp_path, {"a.tfrecord": bytes(data), "b.tfrecord": good}))
        assert set(found) == {"a.tfrecord:0", "a.tfrecord:1", "b.tfrecord:0"}
        assert found["a.tfrecord:1"].reason == "truncated"
        assert f"byte {len(good)} is corrupt: its {what}" in found["a.tfrecord:1"].error


def test_files_cut_off_and_compressed(tmp_path):
    good = records(example(image=[IMAGE], label=[1]))
    for size in (1, 11, 12, 40, len(good) - 1):
        _, found = read(folder(tmp_path, {"a.tfrecord": good + good[:size]}))
        assert [bool(one.data) for one in found.values()] == [True, False]
    _, found = read(folder(tmp_path, {"a.tfrecord": good, "b.tfrecord": b"\x1f\x8b" + good}))
    assert "gzip" in found["b.tfrecord:0"].error


def test_records_are_those_written(tmp_path):
    messages = [b"", b"a", b"b" * 100_000]
    path = folder(tmp_path, {"a": records(*messages), "b": b""}) / "a"
    assert [data for _, data in read_records(str(path))] == messages
    assert list(read_records(str(path.with_name("b")))) == []
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptRecordError):
        list(read_records(str(path)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"item { id: 1 }",
        b"item { id: 1 name: 'a' } item { id: 1 name: 'b' }",
        b"item { id: 1 name: 'a' } item { id: 2 name: 'a' }",
    ],
)
def test_label_maps_that_will_not_do(tmp_path, text):
    files = {"a.tfrecord": records(example(image=[IMAGE], label=[1])), "label_map.pbtxt": text}
    with pytest.raises(UserError):
        TFRecordReader(str(folder(tmp_path, files)))


@pytest.mark.parametrize("data", [b"", b"x" * 50, records(b"\xff"), records(example(label=[1]))])
def test_files_without_an_image(tmp_path, data):
    with pytest.raises(UserError):
        TFRecordReader(str(folder(tmp_path, {"a.tfrecord": data})))


def test_damaged_files(tmp_path):
    dice, whole = random.Random(0), records(example(**boxes()))  # noqa: S311
    for _ in range(200):
        data = damage(whole * 3, dice)
        _, found = read(folder(tmp_path, {"a.tfrecord": data, "b.tfrecord": whole, "label_map.pbtxt": MAP}))
        in_a = sorted((one for key, one in found.items() if key.startswith("a.")), key=lambda one: one.key)
        kept = 0
        while data[kept * len(whole) :].startswith(whole):
            kept += 1
        rest = bool(data[kept * len(whole) :])
        assert [bool(one.data) for one in in_a] == [True] * kept + [False] * rest


def test_damaged_messages(tmp_path):
    dice, good = random.Random(1), example(**boxes(image_object_class_text=[b"cat", b"dog"]))  # noqa: S311
    for number in range(30):
        messages = [good] + [damage(good, dice) for _ in range(20)]
        reader, found = read(folder(tmp_path, {"a.tfrecord": records(*messages)}))
        assert len(found) == 21, number
        kept = {item.label for one in found.values() for item in one.objects or ()}
        assert kept <= set(reader.classes())


@pytest.mark.parametrize(
    ("more", "size", "box"),
    [
        ({"image_width": [40], "image_height": [30]}, (40, 30), (4, 3, 20, 15)),
        ({"image_width": [0], "image_height": [30]}, None, (1, 2, 5, 10)),
        ({"image_width": [40.0], "image_height": [30.0]}, None, (1, 2, 5, 10)),
        ({"image_width": [40, 40], "image_height": [30]}, None, (1, 2, 5, 10)),
        ({}, None, (1, 2, 5, 10)),
    ],
)
def test_boxes_are_shares_of_the_size_that_is_told_or_else_of_the_image_as_shown(tmp_path, more, size, box):
    image = with_orientation(noise(10, 20), "JPEG", 6)  # 10 wide and 20 high when it is shown
    data = records(example(**boxes(1, image_encoded=[image], **more)))
    (found,) = read(folder(tmp_path, {"a.tfrecord": data}))[1].values()
    assert found.size == size
    assert found.objects[0].box == pytest.approx(box)


def test_patterns_of_folders(tmp_path):
    good = records(example(image=[IMAGE], label=[1]))
    path = folder(
        tmp_path, {"x/train/a.bin": good, "y/val/b.bin": good, "y/.b/c.bin": good, "y/val/.d.bin": good}
    )
    reader, found = read(path / "*" / "[tvb.]*" / "*.bin")
    assert reader.splits() == {"train", "validation"}
    assert set(found) == {"x/train/a.bin:0", "y/val/b.bin:0"}


def test_links_in_a_circle_end(tmp_path):
    path = folder(tmp_path, {"x/a.tfrecord": records(example(image=[IMAGE], label=[1]))})
    (path / "x" / "up").symlink_to(path)
    assert set(read(path)[1]) == {"x/a.tfrecord:0"}
