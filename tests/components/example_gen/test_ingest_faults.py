"""Data sets with faults of all kinds, one for each kind of reader: all are told, and nothing is lost."""

import json

import numpy as np
import PIL.Image
import pytest
from small_images import decode, encode, noise, write_files
from small_sources import (
    BOX,
    IMAGES,
    coco_json,
    csv,
    folder,
    masks,
    npz,
    tfds,
    tfrecord,
    voc,
    within,
    yolo,
)

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.readers.raw import REASONS
from conveyor.components.example_gen.settings import ExampleGenSettings, SplitSettings
from conveyor.components.facts import read_facts

PNG = encode(noise(20, 30, 3))
TRAIN = SplitSettings(train=1, validation=0, test=0)
FRAMES = [PIL.Image.fromarray(noise(9, 7, seed=seed)) for seed in range(2)]
TURNED = PIL.Image.Exif()
TURNED[0x0112] = 6


def bring_in(source, out, **settings):
    out.mkdir()
    examples = Examples(out)
    settings = {"max_quarantine": 1, "splits": TRAIN, "max_pixels": 2000, **settings}
    ingest(examples, ExampleGenSettings(source=source, **settings))
    return examples


def kept(examples):
    return read_facts(examples, ["key"])["key"].to_pylist()


def told(examples):
    """Returns (file, field, reason, action) of each row, after checks that all rows must pass."""
    rows = examples.quarantine()
    order = [(row["file"], row["field"], row["reason"], row["detail"]) for row in rows]
    assert order == sorted(order)
    assert all(row["reason"] in REASONS and row["detail"] and " at 0x" not in row["detail"] for row in rows)
    known = examples.properties
    aside = [row["file"] for row in rows if row["action"] == "set_aside"]
    assert len(aside) == len(set(aside)) == known["quarantined"] == known["summary"]["quarantined"]
    assert known["faults"] == len(rows) - len(aside)
    assert known["read"] == len(kept(examples)) + known["quarantined"]
    assert sum(known["splits"].values()) == len(set(kept(examples)) - set(aside)) == len(kept(examples))
    return [(row["file"], row["field"], row["reason"], row["action"]) for row in rows]


def aside(file, reason):
    return (file, "", reason, "set_aside")


def faulty_folder(root):
    bad = {
        "cat/animated.gif": encode(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
        "cat/cut.png": PNG[: len(PNG) // 2],
        "cat/empty.png": b"",
        "dog/float.tif": encode(np.float32([[0.5]]), "TIFF"),
        "dog/huge.png": encode(noise(50, 50)),
        "dog/named.jpg": PNG,
        "dog/text.png": b"no image",
    }
    reasons = [
        "animated",
        "truncated",
        "empty",
        "unsupported_mode",
        "too_large",
        "wrong_extension",
        "unreadable",
    ]
    write_files(folder(root), bad)
    return f"folder:{root}", [aside(*pair) for pair in zip(bad, reasons, strict=True)]


def faulty_coco(root):
    content = json.loads(coco_json())
    x1, y1, x2, y2 = BOX
    box = [x1, y1, x2 - x1, y2 - y1]
    boxes = [
        (1, box, "box_duplicate", "dropped"),
        (1, [x1, y1, 0.9 * (x2 - x1), y2 - y1], "box_overlap", "kept"),
        (1, [25, 5, 20, 9], "box_outside", "clipped"),
        (1, [90, 5, 20, 9], "box_outside", "dropped"),
        (1, [5, 5, 0, 9], "box_degenerate", "dropped"),
        (9, box, "unknown_class", "dropped"),
    ]
    start = len(content["annotations"])
    for number, (category, sides, *_) in enumerate(boxes, start):
        content["annotations"].append({"id": number, "image_id": 5, "category_id": category, "bbox": sides})
    outline = {"size": [10**9, 10**9], "counts": "00"}
    content["annotations"].append(
        {"id": 99, "image_id": 6, "category_id": 2, "bbox": [1, 1, 8, 8], "segmentation": outline}
    )
    content["images"] += [
        {"id": 50, "file_name": "nowhere.png"},
        {"id": 51, "file_name": "../beyond.png"},
        {"id": 52, "file_name": "0.png"},
        {"id": 53, "file_name": "small.png", "width": 31, "height": 20},
    ]
    files = {**within("images", IMAGES), "images/small.png": PNG, "images/unlisted.png": PNG}
    write_files(root, {**files, "instances.json": json.dumps(content).encode()})
    listing = "instances.json: images[{}]"
    rows = [("images/5.png", None, *fault) for _, _, *fault in boxes]
    return f"coco:{root}", [
        *rows,
        ("images/6.png", None, "malformed", "dropped"),
        ("images/0.png", "", "duplicate_file", "kept"),
        aside("images/nowhere.png", "missing_image"),
        aside("images/small.png", "image_size"),
        aside("images/unlisted.png", "missing_annotation"),
        aside(listing.format(13), "unsafe_path"),
        aside(listing.format(14), "duplicate_file"),
    ]


def faulty_masks(root):
    masks(root)
    files = {
        "images/alone.png": PNG,
        "images/index.png": PNG,
        "images/size.png": PNG,
        "masks/index.png": encode(np.full((20, 30), 7, np.uint8)),
        "masks/size.png": encode(np.zeros((30, 20), np.uint8)),
        "masks/lonely.png": encode(np.zeros((20, 30), np.uint8)),
        "classes.txt": b"sky\nsea\n",
    }
    write_files(root, files)
    return f"masks:{root}", [
        aside("images/alone.png", "missing_annotation"),
        aside("images/index.png", "mask_index"),
        aside("images/size.png", "mask_size"),
        aside("masks/lonely.png", "missing_image"),
    ]


def faulty_voc(root):
    voc(root)
    entities = b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    sizes = b"<annotation><size><width>9</width><height>9</height></size></annotation>"
    files = {"JPEGImages/bomb.png": PNG, "Annotations/bomb.xml": entities, "Annotations/none.xml": sizes}
    write_files(root, {**files, "JPEGImages/size.png": PNG, "Annotations/size.xml": sizes})
    return f"voc:{root}", [
        aside("Annotations/none.xml", "missing_image"),
        aside("JPEGImages/bomb.png", "malformed"),
        aside("JPEGImages/size.png", "image_size"),
    ]


def faulty_yolo(root):
    yolo(root)
    write_files(root, {"images/z.png": PNG, "labels/z.txt": b"7 0.5 0.5 0.1 0.1\n0 0.5 0.5 0 0.1\n"})
    write_files(root, {"images/cut.png": PNG[:99]})
    return f"yolo:{root}", [
        ("images/z.png", None, "unknown_class", "dropped"),
        ("images/z.png", None, "box_degenerate", "dropped"),
        aside("images/cut.png", "truncated"),
    ]


def faulty_csv(root):
    table = (csv(root) / "list.csv").read_text()
    write_files(root, {"list.csv": f"{table}\nnowhere.png,cat,\n../up.png,cat,\n".encode()})
    return f"csv:{root}/list.csv", [
        aside("nowhere.png", "missing_image"),
        aside("list.csv:15", "unsafe_path"),
    ]


def faulty_npz(root):
    return f"npz:{npz(root)}/data.npz", []


def faulty_tfrecord(root):
    return f"tfrecord:{tfrecord(root)}", []


def faulty_tfds(root):
    return f"tfds:{tfds(root)}", []


MAKERS = [
    faulty_folder, faulty_coco, faulty_masks, faulty_voc, faulty_yolo, faulty_csv, faulty_npz,
    faulty_tfrecord, faulty_tfds,
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_all_faults_are_told_and_nothing_is_lost(make, tmp_path):
    source, expected = make(tmp_path / "data")
    found = told(bring_in(source, tmp_path / "out"))
    if any(None in row for row in expected):  # which field it is called is the reader's own
        found, expected = ([(file, *rest) for file, _, *rest in rows] for rows in (found, expected))
    assert sorted(found) == sorted(expected)


def test_every_reason_is_provoked(tmp_path):
    rows = [row for make in MAKERS for row in make(tmp_path / make.__name__)[1]]
    assert {reason for _, _, reason, _ in rows} == set(REASONS)


def test_previews(tmp_path):
    """A few pictures of each reason, with a row for each picture, and a picture for each such row."""
    root = tmp_path / "data"
    content = json.loads(coco_json())
    images = {f"{n}.png": encode(noise(20, 30, 3, seed=n)) for n in range(300)}
    content["images"] = [{"id": n, "file_name": name} for n, name in enumerate(images)]
    content["annotations"] += [
        {"id": n + 100, "image_id": n, "category_id": 1, "bbox": [25, 5, 9, 9]} for n in range(300)
    ]
    write_files(root, {**within("images", images), "instances.json": json.dumps(content).encode()})
    write_files(root, {"images/none.png": b"no image", "images/unlisted.png": PNG})
    examples = bring_in(f"coco:{root}", tmp_path / "out")
    shown = [row["preview"] for row in examples.quarantine() if "preview" in row]
    assert len(shown) == 6  # 300 are clipped, and the two others hold nothing that was read
    files = [path.relative_to(examples.path).as_posix() for path in (examples.path / "previews").iterdir()]
    assert sorted(shown) == sorted(files)
    for name in shown:
        data = (examples.path / name).read_bytes()
        assert data.startswith(b"\xff\xd8")
        assert decode(data).shape == (20, 30, 3)


def test_grey_and_colour_together(tmp_path):
    files = {
        f"{'cat' if n % 2 else 'dog'}/{n}.png": encode(noise(9, 9, 1 + 2 * (n % 2), seed=n)) for n in range(8)
    }
    examples = bring_in(f"folder:{write_files(tmp_path / 'data', files)}", tmp_path / "out")
    assert examples.properties["channels"] == 3
    sums = read_facts(examples, ["key", "pixel_sum"]).to_pylist()
    assert {row["key"]: len(row["pixel_sum"]) for row in sums} == {
        name: 3 if name.startswith("cat") else 1 for name in files
    }


def test_the_background_is_the_first_class_of_masks_beside_objects(tmp_path):
    examples = bring_in("digit_scenes:scenes,count=10,size=48", tmp_path / "out", max_pixels=10_000)
    digits = [str(digit) for digit in range(10)]
    assert examples.properties["annotations"] == ["mask", "objects"]
    assert (examples.properties["classes"], examples.properties["mask_classes"]) == (
        digits,
        ["background", *digits],
    )
    for row in read_facts(examples, ["objects", "mask_pixels"]).to_pylist():
        areas = {thing["label"]: 0 for thing in row["objects"]}
        for thing in row["objects"]:
            areas[thing["label"]] += thing["area"]
        *pixels, void = row["mask_pixels"]
        assert (len(pixels), void, sum(pixels)) == (11, 0, 48 * 48)
        assert {label: pixels[1 + label] for label in areas} == areas


def test_without_any_class(tmp_path):
    root = write_files(tmp_path / "data", {"JPEGImages/1.png": PNG, "Annotations/1.xml": b"<annotation/>"})
    with pytest.raises(Exception, match="there are no classes") as caught:
        bring_in(f"voc:{root}", tmp_path / "out")
    assert type(caught.value).__name__ == "UserError"
