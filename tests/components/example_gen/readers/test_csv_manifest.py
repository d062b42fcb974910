"""CSV manifests as users have them, and as they should not be."""

import collections
import pickle
import random

import pytest
from small_images import damage, encode, noise, write_files

from conveyor.components.example_gen.readers.csv_manifest import CsvManifestReader
from conveyor.components.example_gen.readers.raw import REASONS, WHOLE, RawObject
from conveyor.pipeline.errors import UserError

IMAGE = encode(noise(6, 5))
PLAIN = "path,label,split,group\nimg/1.png,cat,train,a\nimg/2.png,dog,val,\nimg/3.png,dog,,b\n"
BOXES = (
    "filename,class,xmin,ymin,xmax,ymax\n"
    "img/1.png,cat,0,0,2,2\nimg/2.png,dog,1,1,3,3\nimg/1.png,dog,1,0,4,4.5\n"
)


def manifest(tmp_path, text):
    write_files(tmp_path, {f"img/{number}.png": IMAGE for number in range(1, 4)})
    data = text if isinstance(text, bytes) else text.encode()
    return str(write_files(tmp_path, {"data.csv": data}) / "data.csv")


def read(path):
    """Returns the reader and key -> example."""
    reader = CsvManifestReader(path)
    chunks = pickle.loads(pickle.dumps(reader.chunks()))  # noqa: S301
    worker = pickle.loads(pickle.dumps(reader))  # noqa: S301
    examples = [example for chunk in chunks for example in worker.read(chunk)]
    found = {example.key: example for example in examples}
    assert len(found) == len(examples), "keys are unique"
    assert all(
        example.data is not None or (example.error and example.reason in REASONS) for example in examples
    )
    assert all(fault.reason in REASONS for example in examples for fault in example.faults)
    return reader, found


def reasons(found):
    return {key: example.reason for key, example in found.items() if example.data is None}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_plain(tmp_path, delimiter, mark, end):
    text = PLAIN.replace(",", delimiter).replace("\n", end)
    reader, found = read(manifest(tmp_path, mark + text.encode()))
    assert reader.classes() == ["cat", "dog"]
    assert reader.splits() == {"train", "validation"}
    assert reader.annotations == {"label"}
    assert not reasons(found)
    assert (found["img/1.png"].split, found["img/1.png"].group) == ("train", "a")
    assert (found["img/2.png"].split, found["img/3.png"].split) == ("validation", "")
    assert found["img/3.png"].data == IMAGE


def test_several_labels(tmp_path):
    text = "path;labels\nimg/1.png;cat, dog|cat\nimg/2.png;\nimg/3.png;guinea pig\nimg/3.png;dog\n"
    reader, found = read(manifest(tmp_path, text))
    assert reader.annotations == {"objects"}
    assert reader.classes() == ["cat", "dog", "guinea pig"]
    assert [item.label for item in found["img/1.png"].objects] == ["cat", "dog"]
    assert found["img/2.png"].objects == ()
    assert {item.box for item in found["img/1.png"].objects} == {WHOLE}
    assert reasons(found) == {"data.csv:5": "duplicate_file"}


def test_a_column_of_one_label_counts_before_one_of_several(tmp_path):
    reader, found = read(manifest(tmp_path, "path,tags,label\nimg/1.png,old|grey,cat\n"))
    assert reader.annotations == {"label"}
    assert found["img/1.png"].label == "cat"


def test_boxes_of_one_path_are_one_example(tmp_path):
    reader, found = read(manifest(tmp_path, BOXES + "img/3.png,,,,,\n"))
    assert reader.annotations == {"objects"}
    assert reader.classes() == ["cat", "dog"]
    cat, dog = RawObject("cat", (0, 0, 2, 2)), RawObject("dog", (1, 0, 4, 4.5))
    assert found["img/1.png"].objects == (cat, dog)
    assert found["img/3.png"].objects == (), "an image without objects"
    assert not any(example.faults for example in found.values())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("img/1.png,cat,0,0,x,2", "box_degenerate"),
        ("img/1.png,cat,0,0,nan,2", "box_degenerate"),
        ("img/1.png,cat,0,0,,2", "box_degenerate"),
        ("img/1.png,cat,,,,", "box_degenerate"),
        ("img/1.png,,0,0,2,2", "unknown_class"),
    ],
)
def test_faults_of_boxes_keep_the_image(tmp_path, row, reason):
    _, found = read(manifest(tmp_path, BOXES + row + "\n"))
    assert not reasons(found)
    assert len(found["img/1.png"].objects) == 2
    (fault,) = found["img/1.png"].faults
    assert (fault.reason, "line 5" in fault.detail) == (reason, True)


def test_rows_of_one_image_that_disagree(tmp_path):
    text = "path,label,split,xmin,ymin,xmax,ymax\nimg/1.png,cat,train,0,0,1,1\n./img/1.png,cat,test,0,0,2,2\n"
    _, found = read(manifest(tmp_path, text))
    assert found["img/1.png"].split == "train"
    assert [fault.field for fault in found["img/1.png"].faults] == ["split"]


@pytest.mark.parametrize(
    ("row", "reason", "key"),
    [
        ("img/9.png,cat,,", "missing_image", "img/9.png"),
        ("img,cat,,", "missing_image", "img"),
        ("img/1.png,cat,,", "duplicate_file", "data.csv:5"),
        ("img/./1.png,dog,,", "duplicate_file", "data.csv:5"),
        ("/etc/hostname,cat,,", "unsafe_path", "data.csv:5"),
        ("../data.csv,cat,,", "unsafe_path", "data.csv:5"),
        ("img/../../a,cat,,", "unsafe_path", "data.csv:5"),
        ("C:\\a.png,cat,,", "unsafe_path", "data.csv:5"),
        (",cat,,", "malformed", "data.csv:5"),
        ("img/4.png,cat", "malformed", "data.csv:5"),
        ("img/4.png,cat,,,,", "malformed", "data.csv:5"),
        ("img/4.png,cat,trian,", "malformed", "data.csv:5"),
        ("img/4\0.png,cat,,", "malformed", "data.csv:5"),
        ('"img/4.png,cat,,', "malformed", "data.csv:5-5"),
        ("img/4.png," + "x" * 200_000 + ",,", "malformed", "data.csv:5"),
    ],
)
def test_faults_of_rows(tmp_path, row, reason, key):
    _, found = read(manifest(tmp_path, PLAIN + row + "\n"))
    expected = {key.removesuffix("-5"): reason}
    assert reasons(found) == expected
    (bad,) = (example for example in found.values() if example.data is None)
    assert "line 5" in bad.error or key.startswith("img")
    assert len(found) == 4


def test_missing_label_and_bytes_that_are_no_text(tmp_path):
    _, found = read(manifest(tmp_path, PLAIN.encode() + b"img/4.png,,,\nimg/\xff.png,cat,,\n\n"))
    assert reasons(found) == {"img/4.png": "missing_annotation", "data.csv:6": "malformed"}


def test_an_open_quotation_mark_swallows_no_row_silently(tmp_path):
    _, found = read(manifest(tmp_path, PLAIN.replace("img/1", '"img/1')))
    assert reasons(found) == {"data.csv:2-4": "malformed"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("pth,label\na,b\n", "rename 'pth' to 'path'"),
        ("path,lable\na,b\n", "rename 'lable' to 'label'"),
        ("path,label,xmin,ymin,xmax\na,b,1,2,3\n", "'ymax'"),
        ("path,label,label\na,b,c\n", "more than once"),
        ("path,label\n", "no rows"),
        ("", "no column 'path'"),
        (PLAIN.encode("utf-16"), "UTF-16"),
    ],
)
def test_headers_that_will_not_do(tmp_path, text, part):
    with pytest.raises(UserError) as error:
        CsvManifestReader(manifest(tmp_path, text))
    assert part in str(error.value)


@pytest.mark.parametrize("name", ["", "none.csv", "."])
def test_no_file(name):
    with pytest.raises(UserError):
        CsvManifestReader(name)


def test_fingerprint_follows_content(tmp_path):
    path = manifest(tmp_path, PLAIN)
    first = CsvManifestReader(path).fingerprint(tmp_path)
    assert CsvManifestReader(path).fingerprint(tmp_path) == first
    (tmp_path / "img/2.png").write_bytes(b"another")
    assert CsvManifestReader(path).fingerprint(tmp_path) != first


def test_damaged_manifests(tmp_path):
    dice, kinds = random.Random(0), collections.Counter()  # noqa: S311
    for _ in range(300):
        text = damage(dice.choice((PLAIN, BOXES)).encode(), dice)
        try:
            reader, found = read(manifest(tmp_path, text))
        except UserError:
            kinds["refused"] += 1
            continue
        assert len(found) == len(reader._examples)
        assert {label for example in found.values() for label in [example.label] if example.data} <= {
            *reader.classes()
        } | {""}
        kinds["read"] += 1
    assert min(kinds["read"], kinds["refused"]) > 30


def test_the_size_that_is_told(tmp_path):
    text = "path,label,xmin,ymin,xmax,ymax,width,height\nimg/1.png,cat,0,0,1,1,20,10\n"
    text += "img/1.png,cat,0,0,2,2,20,11\nimg/2.png,cat,0,0,2,2,0,10\n"
    found = read(manifest(tmp_path, text))[1]
    assert (found["img/1.png"].size, found["img/2.png"].size) == ((20, 10), None)
    assert [(fault.field, "line 3" in fault.detail) for fault in found["img/1.png"].faults] == [
        ("size", True)
    ]
    found = read(manifest(tmp_path, "path,label,width,height\nimg/1.png,cat,20,10\nimg/2.png,cat,x,\n"))[1]
    assert (found["img/1.png"].size, found["img/2.png"].size) == ((20, 10), None)


def test_paths_as_windows_writes_them(tmp_path):
    assert set(read(manifest(tmp_path, "path,label\n.\\img\\1.png,cat\n"))[1]) == {"img/1.png"}


def test_an_image_that_is_gone_since_it_was_listed(tmp_path):
    reader = CsvManifestReader(manifest(tmp_path, PLAIN))
    (chunk,) = reader.chunks()
    (tmp_path / "img/2.png").unlink()
    assert reasons({example.key: example for example in reader.read(chunk)}) == {"img/2.png": "unreadable"}
