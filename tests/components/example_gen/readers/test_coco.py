"""COCO as it is found, with what may be wrong in it."""

import collections
import json
import os
import pathlib
import pickle
import random

import numpy as np
import PIL.Image
import pytest

from conveyor.components.example_gen.readers.coco import COCOReader
from conveyor.components.example_gen.readers.raw import REASONS
from conveyor.pipeline.errors import UserError

DATA = pathlib.Path(__file__).parents[4] / ".." / "shared" / "data"


def image(path, size=(20, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.zeros(size[::-1], np.uint8)).save(path)


def annotation(image_id=1, category_id=1, bbox=(1, 2, 3, 4), **rest):
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), **rest}


def content(images=("a.png",), annotations=(), categories=((1, "cat"), (7, "dog"))):
    return {
        "images": [{"id": i, "file_name": n} if isinstance(n, str) else n for i, n in enumerate(images, 1)],
        "annotations": list(annotations),
        "categories": [{"id": number, "name": name} for number, name in categories],
    }


def write(root, name, document):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def read(argument):
    """Returns reader and key -> example, through a pickle as workers get it."""
    reader = COCOReader(str(argument))
    worker, chunks = pickle.loads(pickle.dumps((reader, list(reader.chunks()))))  # noqa: S301
    examples = [example for chunk in chunks for example in worker.read(chunk)]
    assert all(example.reason in REASONS for example in examples)
    assert all(example.error for example in examples if example.data is None)
    assert all(fault.reason in REASONS for example in examples for fault in example.faults)
    assert not any(example.label for example in examples)
    found = {example.key: example for example in examples}
    assert len(found) == len(examples), "keys are unique"
    return reader, found


def simple(root, annotations, **rest):
    """Returns the one example of a source with these annotations."""
    image(root / "images" / "a.png")
    write(root, "x.json", content(annotations=annotations, **rest))
    return read(root)[1]["images/a.png"]


@pytest.mark.parametrize("argument", ["", "instances.json"])
@pytest.mark.parametrize("folder", ["images/", "", "data/"])
def test_one_file_has_no_splits(tmp_path, folder, argument):
    image(tmp_path / f"{folder}a.png")
    write(tmp_path, "instances.json", content(annotations=[annotation()]))
    reader, found = read(tmp_path / argument)
    assert (reader.classes(), reader.splits(), reader.annotations) == (["cat", "dog"], set(), {"objects"})
    example = found[f"{folder}a.png"]
    assert example.data == (tmp_path / f"{folder}a.png").read_bytes()
    assert [(o.label, o.box, o.crowd) for o in example.objects] == [("cat", (1, 2, 4, 6), False)]
    assert (example.split, example.faults) == ("", ())


@pytest.mark.parametrize("prefix", ["", "images/"])
def test_the_layout_of_coco(tmp_path, prefix):
    for split in ("train2017", "val2017"):
        image(tmp_path / prefix / split / "a.png")
        write(tmp_path, f"annotations/instances_{split}.json", content())
        write(tmp_path, f"annotations/captions_{split}.json", {"images": []})
    reader, found = read(tmp_path)
    assert reader.splits() == {"train", "validation"}
    splits = {key: (e.split, e.objects) for key, e in found.items()}
    assert splits == {
        f"{prefix}train2017/a.png": ("train", ()),
        f"{prefix}val2017/a.png": ("validation", ()),
    }
    assert COCOReader(str(tmp_path / "annotations/instances_val2017.json")).splits() == {"validation"}


def test_a_json_file_in_each_split_folder(tmp_path):
    for split in ("train", "valid"):
        image(tmp_path / split / "a.png")
        write(tmp_path, f"{split}/_annotations.coco.json", content())
    assert {k: e.split for k, e in read(tmp_path)[1].items()} == {
        "train/a.png": "train",
        "valid/a.png": "validation",
    }


def test_classes_in_order_of_id(tmp_path):
    image(tmp_path / "a.png")
    write(tmp_path, "x.json", content(categories=[(90, "z"), (3, "b"), (3, "b"), (11, "a"), (12, "a")]))
    assert COCOReader(str(tmp_path)).classes() == ["b", "a", "z"]


RLE = {"size": [10, 20], "counts": [5, 3, 192]}


@pytest.mark.parametrize(
    ("given", "kept", "fault"),
    [
        ([[1, 2, 3, 4, 5, 6]], [[1, 2, 3, 4, 5, 6]], False),
        (RLE, RLE, False),
        ({"size": [1, 1], "counts": "01"}, {"size": [1, 1], "counts": "01"}, False),
        (None, None, False),
        ([], None, False),
        ([[1, 2, 3]], None, True),
        ([[1, 2, 3, 4, 5, float("nan")]], None, True),
        ([["a"] * 6], None, True),
        ({"size": [10, 20], "counts": [5, 3]}, None, True),
        ({"size": [10, 20], "counts": [-5, 205]}, None, True),
        ({"size": [1, 1], "counts": "~"}, None, True),
        ({"size": [1, 1], "counts": "P" * 1000}, None, True),
        ({"size": None, "counts": 3}, None, True),
        ("text", None, True),
        ([[[[[1]]]]], None, True),
    ],
)
def test_segmentation(tmp_path, given, kept, fault):
    example = simple(tmp_path, [annotation(segmentation=given, iscrowd=1)])
    assert [(o.segmentation, o.crowd) for o in example.objects] == [(kept, True)]
    assert [(f.reason, f.field) for f in example.faults] == [("malformed", "annotations[0]")] * fault


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"category_id": 2}, "unknown_class"),
        ({"category_id": None}, "unknown_class"),
        ({"category_id": [1]}, "unknown_class"),
        ({"bbox": None}, "box_degenerate"),
        ({"bbox": [1, 2, 3]}, "box_degenerate"),
        ({"bbox": [1, 2, None, 3]}, "box_degenerate"),
        ({"bbox": [1, 2, "3", True]}, "box_degenerate"),
    ],
)
def test_an_object_that_cannot_be_used(tmp_path, given, reason):
    example = simple(tmp_path, [annotation(), annotation() | given])
    assert len(example.objects) == 1
    assert [(f.reason, f.field) for f in example.faults] == [(reason, "annotations[1]")]


def test_numbers_are_left_to_ingestion(tmp_path):
    boxes = [(-5, 0, 3, 3), (0, 0, -1, 2), (float("nan"), 0, 1, 1), (10**400, 0, 1, 1)]
    example = simple(tmp_path, [annotation(bbox=box) for box in boxes])
    found = [o.box for o in example.objects]
    assert found[:2] == [(-5, 0, -2, 3), (0, 0, -1, 2)]
    assert np.isnan(found[2][0])
    assert np.isinf(found[3][0])


def test_a_category_id_of_two_names_is_unknown(tmp_path):
    example = simple(tmp_path, [annotation()], categories=[(1, "a"), (1, "b"), (2, "c")])
    assert [f.reason for f in example.faults] == ["unknown_class"]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a.png", "x/../../a.png", "C:\\a.png", "..\\a.png", "a\0b"]
)
def test_unsafe_paths(tmp_path, name):
    image(tmp_path / "images" / "a.png")
    write(tmp_path, "x.json", content(images=["a.png", name]))
    assert read(tmp_path)[1]["x.json: images[1]"].reason == "unsafe_path"


def test_what_is_missing(tmp_path):
    for name in ("a.png", "lone.png"):
        image(tmp_path / "images" / name)
    dangling = [annotation(99), annotation(99), annotation([]), 5]
    write(tmp_path, "x.json", content(images=["a.png", "gone.png", 3, {"id": 9}], annotations=dangling))
    assert {key: e.reason for key, e in read(tmp_path)[1].items() if e.data is None} == {
        "images/gone.png": "missing_image",
        "images/lone.png": "missing_annotation",
        "x.json: images[2]": "malformed",
        "x.json: images[3]": "malformed",
        "x.json: image_id 99": "missing_image",
        "x.json: annotations[2]": "malformed",
        "x.json: annotations[3]": "malformed",
    }


def test_a_file_listed_twice_has_the_objects_of_both(tmp_path):
    image(tmp_path / "images" / "a.png")
    write(tmp_path, "x.json", content(["a.png", "./a.png"], [annotation(1), annotation(2, 7)]))
    found = read(tmp_path)[1]
    assert [o.label for o in found["images/a.png"].objects] == ["cat", "dog"]
    assert [f.reason for f in found["images/a.png"].faults] == ["duplicate_file"]
    assert found["x.json: images[1]"].reason == "duplicate_file"


def test_an_id_of_two_files_spoils_both(tmp_path):
    names = ["a.png", "b.png", "c.png"]
    for name in names:
        image(tmp_path / "images" / name)
    write(tmp_path, "x.json", content([{"id": len(n) * (n != "c.png"), "file_name": n} for n in names]))
    reasons = {key: e.reason for key, e in read(tmp_path)[1].items() if e.data is None}
    assert reasons == {"x.json: images[0]": "duplicate_file", "x.json: images[1]": "duplicate_file"}


def test_an_image_of_two_splits_is_tested_not_learned(tmp_path):
    image(tmp_path / "images" / "a.png")
    for split in ("train", "val", "test"):
        write(tmp_path, f"annotations/instances_{split}.json", content(annotations=[annotation()]))
    found = read(tmp_path)[1]
    assert found["images/a.png"].split == "test"
    assert [f.reason for f in found["images/a.png"].faults] == ["duplicate_file"] * 2
    assert sum(e.reason == "duplicate_file" for e in found.values() if e.data is None) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "null",
        "[]",
        '{"images": []}',
        '{"images": 3, "annotations": 4, "categories": 5}',
        json.dumps(content(categories=[])),
        json.dumps(content(images=[])),
    ],
)
def test_unusable_files(tmp_path, text):
    with pytest.raises(UserError) as caught:
        COCOReader(str(write(tmp_path, "x.json", text)))
    assert caught.value.where


def test_unusable_sources(tmp_path):
    for argument in ("", str(tmp_path / "none"), str(tmp_path), "a\0b"):
        with pytest.raises(UserError):
            COCOReader(argument)


def test_a_number_of_very_many_digits(tmp_path):
    image(tmp_path / "a.png")
    write(tmp_path, "x.json", json.dumps(content(annotations=[annotation()])).replace("4]", "9" * 5000 + "]"))
    assert np.isinf(read(tmp_path)[1]["a.png"].objects[0].box[3])


def test_the_fingerprint_follows_content(tmp_path):
    image(tmp_path / "images" / "a.png")
    path = write(tmp_path, "x.json", content())
    first = COCOReader(str(tmp_path)).fingerprint(tmp_path)
    assert COCOReader(str(tmp_path)).fingerprint(tmp_path) == first
    path.write_text(json.dumps(content(annotations=[annotation()])))
    second = COCOReader(str(tmp_path)).fingerprint(tmp_path)
    image(tmp_path / "images" / "a.png", (4, 4))
    assert len({first, second, COCOReader(str(tmp_path)).fingerprint(tmp_path)}) == 3


ODD = [None, -1, 1e400, float("nan"), 10**30, "", "a.png", "../x", "\ud800", [], {}, [[1]], True, 2, "1", 1.0]


def mutate(value, chance):
    """Returns JSON with odd values in random places."""
    if chance.random() < 0.04:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {key: mutate(part, chance) for key, part in value.items() if chance.random() > 0.02}
    return [mutate(part, chance) for part in value] if isinstance(value, list) else value


def test_fuzz(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        image(tmp_path / "images" / name)
    notes = [
        annotation(1, segmentation=[[1, 2, 3, 4, 5, 6]]),
        annotation(2, 7, segmentation=RLE),
        annotation(3),
    ]
    document = content(["a.png", "b.png", "c.png"], notes)
    kinds = collections.Counter()
    for seed in range(300):
        chance = random.Random(seed)  # noqa: S311
        text = json.dumps(mutate(document, chance))
        if seed % 5 == 0:
            text = (
                text[: chance.randrange(len(text))]
                + chance.choice(']}[{,\\"')
                + text[chance.randrange(len(text)) :]
            )
        write(tmp_path, "x.json", text)
        try:
            found = read(tmp_path)[1]
        except UserError:
            kinds["refused"] += 1
            continue
        keys = {key for key, e in found.items() if e.data is not None}
        told = [e for e in found.values() if e.data is None]
        told += [fault for e in found.values() for fault in e.faults]
        listed = len(json.loads(text)["images"])
        assert (
            len(keys) + sum("images[" in k or e.reason == "missing_image" for k, e in found.items()) >= listed
        )
        on_disk = {f"images/{name}" for name in os.listdir(tmp_path / "images")}
        named = " ".join(e.error for e in found.values())
        assert all(path in found or os.path.basename(path) in named for path in on_disk)
        kinds["told" if told else "clean"] += 1
    assert min(kinds["refused"], kinds["told"], kinds["clean"]) > 5


@pytest.mark.skipif(not (DATA / "nuclei").exists(), reason="needs the shared data")
def test_nuclei():
    reader, found = read(DATA / "nuclei")
    assert (reader.classes(), reader.splits(), len(found)) == (["nucleus"], set(), 300)
    assert all(e.data and e.objects and not e.faults for e in found.values())
    assert sum(len(e.objects) for e in found.values()) == 9158
    assert all(o.segmentation for e in found.values() for o in e.objects)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"width": 20, "height": 10}, (20, 10)),
        ({"width": 20.0, "height": "10"}, (20, 10)),
        ({"width": 0, "height": 10}, None),
        ({"width": True, "height": 10}, None),
        ({"width": 1e400, "height": [10]}, None),
        ({"width": 10**400, "height": 10}, None),
        ({"width": 20}, None),
    ],
)
def test_the_size_that_is_told(tmp_path, size, expected):
    example = simple(tmp_path, [annotation()], images=[{"id": 1, "file_name": "a.png", **size}])
    assert example.size == expected


def test_a_json_file_whose_name_is_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.json")
    try:
        write(tmp_path, name, content(["gone.png"]))
    except OSError:
        pytest.skip("this file system knows only names that are text")
    (example,) = read(tmp_path)[1].values()
    assert (example.reason, example.error) == ("missing_image", "images[0] of caf\\xe9.json: no such file")
