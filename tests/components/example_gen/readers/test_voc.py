"""Pascal VOC as it is found, with what may be wrong in it."""

import pathlib
import pickle
import random

import numpy as np
import PIL.Image
import pytest

from conveyor.components.example_gen.readers.raw import REASONS, Fault, RawObject
from conveyor.components.example_gen.readers.voc import VOCReader
from conveyor.pipeline.errors import UserError

DATA = pathlib.Path(__file__).parents[4] / ".." / "shared" / "data"
BOX = (1, 2, 3, 4)


def thing(name="cat", box=BOX, rest=""):
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{rest}<bndbox>{sides}</bndbox></object>"


def xml(*things):
    return f"<annotation><filename>a.jpg</filename>{''.join(things)}</annotation>"


def write(root, images=("a",), xmls=None, sets=None):
    """Writes images, XML files by name (one object each unless given) and image sets."""
    for folder in ("JPEGImages", "Annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in images:
        file = root / "JPEGImages" / (name if "." in name else f"{name}.png")
        PIL.Image.fromarray(np.zeros((10, 20), np.uint8)).save(file)
    for name, text in (xmls if xmls is not None else dict.fromkeys(images, xml(thing()))).items():
        (root / "Annotations" / f"{name}.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
    for name, lines in (sets or {}).items():
        (root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets/Main" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def read(root):
    """Returns reader and key -> example, through a pickle as workers get it."""
    reader = VOCReader(str(root))
    worker, chunks = pickle.loads(pickle.dumps((reader, list(reader.chunks()))))  # noqa: S301
    examples = [example for chunk in chunks for example in worker.read(chunk)]
    assert all(example.reason in REASONS and not example.label for example in examples)
    assert all(example.error for example in examples if example.data is None)
    assert all(fault.reason in REASONS for example in examples for fault in example.faults)
    found = {example.key: example for example in examples}
    assert len(found) == len(examples), "keys are unique"
    return reader, found


def one(root, text):
    return read(write(root, xmls={"a": text}))[1]["JPEGImages/a.png"]


def test_boxes_are_edges_from_zero(tmp_path):
    text = xml(thing("dog", (1, 1, 20, 10), "<difficult>1</difficult>"), thing(" cat ", (2.5, 3, 4, 5)))
    assert one(tmp_path, text).objects == (
        RawObject("dog", (0, 0, 20, 10), difficult=True),
        RawObject("cat", (1.5, 2, 4, 5)),
    )
    reader = VOCReader(str(tmp_path))
    assert (reader.classes(), reader.splits(), reader.annotations) == (["cat", "dog"], set(), {"objects"})


def test_parts_are_no_objects(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>"
    assert [(o.label, o.box) for o in one(tmp_path, xml(thing(rest=part))).objects] == [("cat", (0, 1, 3, 4))]


def test_an_image_without_objects_is_background(tmp_path):
    example = one(tmp_path, xml())
    assert (example.objects, example.faults) == ((), ())
    assert example.data


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (thing(""), "malformed"),
        (thing(box=(1, 2, "x", 4)), "box_degenerate"),
        ("<object><name>cat</name></object>", "box_degenerate"),
        (thing(box=(5, 5, 5, 5)), "box_degenerate"),
        (thing(box=(5, 5, 5, 9)), "box_degenerate"),
    ],
)
def test_an_object_that_cannot_be_used(tmp_path, text, reason):
    example = one(tmp_path, xml(thing(), text))
    assert len(example.objects) == 1
    assert [(f.reason, f.field) for f in example.faults] == [(reason, "objects[1]")]


def test_geometry_is_left_to_ingestion(tmp_path):
    example = one(
        tmp_path, xml(thing(box=(0, 0, 99, 99)), thing(box=(9, 9, 2, 2)), thing(box=("nan", 1, 2, 3)))
    )
    assert [o.box for o in example.objects][:2] == [(-1, -1, 99, 99), (8, 8, 2, 2)]
    assert np.isnan(example.objects[2].box[0])


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<annotation>",
        "<other/>",
        "text",
        b"\xff\xfe\x00\x01",
        b'<?xml version="1.0" encoding="shift_jis"?><annotation/>',
        b'<?xml version="1.0" encoding="none"?><annotation/>',
        ENTITIES + xml(thing("&b;")),
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + xml(thing("&e;")),
        '<!DOCTYPE annotation SYSTEM "http://localhost/x.dtd">' + xml(thing()),
    ],
)
def test_malformed_xml(tmp_path, text):
    example = one(tmp_path, text)
    assert (example.data, example.reason) == (None, "malformed")
    assert "a.xml" in example.error


def test_sets_are_splits(tmp_path):
    sets = {
        "train": ["a"],
        "val": ["b.png"],
        "test": ["c 1"],
        "trainval": ["a", "b", "d"],
        "cat_train": ["zzz"],
    }
    reader, found = read(write(tmp_path, "abcd", sets=sets))
    assert reader.splits() == {"train", "validation", "test"}
    splits = [found[f"JPEGImages/{name}.png"].split for name in "abcd"]
    assert splits == ["train", "validation", "test", "train"]
    assert not any(e.faults for e in found.values())


def test_an_image_of_two_splits_is_tested_not_learned(tmp_path):
    sets = {"train": ["a", "b", "c", "c"], "val": ["a", "b"], "test": ["a", "d"], "trainval": ["d"]}
    found = read(write(tmp_path, "abcde", sets=sets))[1]
    told = [(e.split, [f.reason for f in e.faults]) for _, e in sorted(found.items())]
    duplicate = ["duplicate_file"]
    assert told == [
        ("test", duplicate),
        ("validation", duplicate),
        ("train", duplicate),
        ("test", duplicate),
        ("", ["missing_annotation"]),
    ]
    assert all(f.field == "split" for e in found.values() for f in e.faults)


def test_what_is_missing(tmp_path):
    write(tmp_path, ["a", "lone", "b.jpg", "b.png"], {"a": xml(), "b": xml(), "gone": xml()})
    sets = {"train": ["a", "b", "lone", "gone", "never", "../x", "/etc/passwd"]}
    found = read(write(tmp_path, (), {}, sets))[1]
    assert {key: e.reason for key, e in found.items() if e.data is None} == {
        "JPEGImages/lone.png": "missing_annotation",
        "JPEGImages/b.png": "missing_annotation",
        "Annotations/gone.xml": "missing_image",
        "ImageSets/Main/train.txt: never": "missing_image",
        "ImageSets/Main/train.txt: ../x": "unsafe_path",
        "ImageSets/Main/train.txt: /etc/passwd": "unsafe_path",
    }
    assert {key for key, e in found.items() if e.data} == {"JPEGImages/a.png", "JPEGImages/b.jpg"}


def test_a_dangling_link_is_reported(tmp_path):
    write(tmp_path)
    (tmp_path / "JPEGImages/b.png").symlink_to("nowhere.png")
    (tmp_path / "Annotations/b.xml").write_text(xml())
    assert read(tmp_path)[1]["JPEGImages/b.png"].data is None


def test_unusable_sources(tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    for argument in ("", str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(UserError):
            VOCReader(argument)


def test_the_fingerprint_follows_content(tmp_path):
    write(tmp_path)
    prints = [VOCReader(str(tmp_path)).fingerprint(tmp_path) for _ in range(2)]
    write(tmp_path, xmls={"a": xml()})
    prints.append(VOCReader(str(tmp_path)).fingerprint(tmp_path))
    write(tmp_path, sets={"train": ["a"]})
    prints.append(VOCReader(str(tmp_path)).fingerprint(tmp_path))
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_fuzz(tmp_path):
    good = xml(thing(), thing("dog", (5, 5, 9, 9), "<difficult>0</difficult>")).encode()
    kinds = {"kept": 0, "told": 0}
    for seed in range(300):
        chance = random.Random(seed)  # noqa: S311
        data = bytearray(good)
        for _ in range(chance.randrange(4)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(8)] = chance.randbytes(chance.randrange(4))
        sets = {"train": ["a", chance.choice(["a", "b", "../b", "\x01", "a 1"])]}
        found = read(write(tmp_path, xmls={"a": bytes(data)}, sets=sets))[1]
        assert set(found) >= {"JPEGImages/a.png"}
        assert len(found) <= 2
        example = found["JPEGImages/a.png"]
        kinds["told" if example.data is None or example.faults else "kept"] += 1
    assert min(kinds.values()) > 20


@pytest.mark.skipif(not (DATA / "BCCD").exists(), reason="needs the shared data")
def test_blood_cells():
    reader, found = read(DATA / "BCCD")
    assert (reader.classes(), reader.splits()) == (
        ["Platelets", "RBC", "WBC"],
        {"train", "validation", "test"},
    )
    assert len(found) == 364
    assert all(e.data and e.split for e in found.values())
    assert sum(len(e.objects) for e in found.values()) == 4886
    # Clicks that became boxes of no extent.
    faults = {key.split("_")[1]: e.faults for key, e in found.items() if e.faults}
    assert faults == {
        "00338.jpg": (Fault("box_degenerate", "'RBC': from 504, 337 to 504, 337", "objects[12]"),),
        "00343.jpg": (Fault("box_degenerate", "'RBC': from 181, 329 to 181, 329", "objects[3]"),),
    }


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("<width>20</width><height>10</height><depth>3</depth>", (20, 10)),
        ("<width> 20.0 </width><height>10</height>", (20, 10)),
        ("<width>0</width><height>0</height>", None),
        ("<width>20</width>", None),
        ("<width>nan</width><height>10</height>", None),
        ("", None),
    ],
)
def test_the_size_that_is_told(tmp_path, text, size):
    assert one(tmp_path, xml(f"<size>{text}</size>", thing())).size == size
