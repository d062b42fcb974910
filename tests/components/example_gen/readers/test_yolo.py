"""YOLO as it is found, with what may be wrong in it."""

import pickle
import random

import numpy as np
import PIL.Image
import pytest
import yaml

from conveyor.components.example_gen.readers.raw import REASONS
from conveyor.components.example_gen.readers.yolo import MAX_FAULTS, YOLOReader
from conveyor.pipeline.errors import UserError

LINE = "0 0.5 0.5 0.25 0.2"


def write(root, files, **settings):
    """Writes 20x10 images and texts; and a data.yaml of these settings."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            PIL.Image.fromarray(np.zeros((10, 20), np.uint8)).save(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if settings:
        root.mkdir(exist_ok=True)
        (root / "data.yaml").write_text(yaml.safe_dump(settings))
    return root


def read(argument):
    """Returns reader and key -> example, through a pickle as workers get it."""
    reader = YOLOReader(str(argument))
    worker, chunks = pickle.loads(pickle.dumps((reader, list(reader.chunks()))))  # noqa: S301
    examples = [example for chunk in chunks for example in worker.read(chunk)]
    assert all(example.reason in REASONS and not example.label for example in examples)
    assert all(example.error for example in examples if example.data is None)
    assert all(fault.reason in REASONS for example in examples for fault in example.faults)
    found = {example.key: example for example in examples}
    assert len(found) == len(examples), "keys are unique"
    return reader, found


def reasons(found):
    return {key: example.reason for key, example in found.items() if example.data is None}


def one(root, labels, image=None):
    files = {"images/a.png": image, "labels/a.txt": labels}
    return read(write(root, files, names=["cat", "dog"], train="images"))[1]["images/a.png"]


@pytest.mark.parametrize("folders", ["images/{}", "{}/images"])
@pytest.mark.parametrize("as_file", [False, True])
def test_folders_of_splits(tmp_path, folders, as_file):
    train, val = folders.format("train"), folders.format("val")
    labels = train.replace("images", "labels")
    write(
        tmp_path,
        {f"{train}/a.png": None, f"{labels}/a.txt": LINE, f"{val}/b.png": None},
        names={0: "cat", 2: "dog"},
    )
    if as_file:
        write(tmp_path, {}, names={0: "cat", 2: "dog"}, train=train, val=[val], path=".", test="")
    reader, found = read(tmp_path / "data.yaml" if as_file else tmp_path)
    assert (reader.classes(), reader.splits()) == (["cat", "dog"], {"train", "validation"})
    assert [(o.label, o.box) for o in found[f"{train}/a.png"].objects] == [("cat", (7.5, 4, 12.5, 6))]
    background = found[f"{val}/b.png"]
    assert (background.objects, background.faults, background.split) == ((), (), "validation")
    assert len(found) == 2


@pytest.mark.parametrize("layout", ["images/{}.png", "{}.png"])
def test_without_splits_or_yaml(tmp_path, layout):
    labels = layout.replace("images", "labels").replace("png", "txt").format("a")
    files = {layout.format("a"): None, labels: LINE, "classes.txt": "cat\ndog\n"}
    reader, found = read(write(tmp_path, files))
    assert (reader.classes(), reader.splits(), reader.annotations) == (["cat", "dog"], set(), {"objects"})
    assert len(found) == 1
    assert len(found[layout.format("a")].objects) == 1


def test_lists_of_images(tmp_path):
    files = {f"images/{name}.png": None for name in "abcd"}
    lines = ["./images/a.png", "images/b.png", "images/b.png", "", f"{tmp_path}/images/c.png"]
    lines += ["/etc/x.png", "images/gone.png", "../x.png"]
    write(tmp_path, files | {"train.txt": "\n".join(lines)}, names=["cat"], train="train.txt", val="none")
    found = read(tmp_path)[1]
    assert reasons(found) == {
        "train.txt: line 6": "unsafe_path",
        "train.txt: line 7": "missing_image",
        "train.txt: line 8": "unsafe_path",
        "images/d.png": "missing_annotation",
        "data.yaml: val[0]": "missing_image",
    }
    kept = {key: [f.reason for f in e.faults] for key, e in found.items() if e.data}
    assert kept == {"images/a.png": [], "images/b.png": ["duplicate_file"], "images/c.png": []}


def test_the_paths_of_exports(tmp_path):
    files = {"train/images/a.png": None, "train/labels/a.txt": LINE}
    write(tmp_path, files, names=["cat"], nc=1, train="../train/images", path="/of/another/machine")
    assert len(read(tmp_path)[1]["train/images/a.png"].objects) == 1


def test_a_yaml_file_that_names_the_folder(tmp_path):
    write(tmp_path / "data", {"images/a.png": None})
    settings = {"names": ["cat"], "train": "images", "path": str(tmp_path / "data")}
    write(tmp_path / "settings", {"x.yaml": yaml.safe_dump(settings)})
    assert set(read(tmp_path / "settings/x.yaml")[1]) == {"images/a.png"}


def test_an_image_of_two_splits_is_tested_not_learned(tmp_path):
    write(tmp_path, {"images/a.png": None}, names=["cat"], train="images", val="images", test="images")
    example = read(tmp_path)[1]["images/a.png"]
    assert example.split == "test"
    assert [f.reason for f in example.faults] == ["duplicate_file"] * 2


def test_labels_without_image(tmp_path):
    files = {"images/a.png": None, "labels/a.txt": LINE, "labels/b.txt": LINE, "labels/classes.txt": "cat"}
    assert reasons(read(write(tmp_path, files))[1]) == {"labels/b.txt": "missing_image"}


def test_labels_of_two_images(tmp_path):
    files = {"images/a.png": None, "images/a.jpg": None, "labels/a.txt": LINE, "classes.txt": "cat"}
    found = read(write(tmp_path, files))[1]
    assert [[f.reason for f in e.faults] for e in found.values()] == [["duplicate_file"]] * 2


def test_polygons(tmp_path):
    (found,) = one(tmp_path, "1 0 0 0.5 0 0.5 0.5").objects
    assert (found.label, found.box, found.segmentation) == ("dog", (0, 0, 10, 5), [[0, 0, 10, 0, 10, 5]])


def test_shares_are_of_the_image_as_shown(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(np.zeros((10, 20), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    (found,) = one(tmp_path, "0 0.5 0.5 1 1", (tmp_path / "a.jpg").read_bytes()).objects
    assert found.box == (0, 0, 10, 20)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.1", "malformed"),
        ("0 0.5 0.5 0.1 0.1 0.9", "malformed"),
        ("0 a b c d", "malformed"),
        ("\x00\x01", "malformed"),
        ("2 0.5 0.5 0.1 0.1", "unknown_class"),
        ("-1 0.5 0.5 0.1 0.1", "unknown_class"),
        ("0.5 0.5 0.5 0.1 0.1", "unknown_class"),
        ("nan 0.5 0.5 0.1 0.1", "unknown_class"),
        (f"{'9' * 5000} 0.5 0.5 0.1 0.1", "unknown_class"),
        ("0 nan 0.5 0.1 0.1", "box_degenerate"),
        ("0 inf 0 1 1 1 0", "box_degenerate"),
    ],
)
def test_a_line_that_cannot_be_used(tmp_path, line, reason):
    example = one(tmp_path, f"{LINE}\n\n{line}\n")
    assert len(example.objects) == 1
    assert [(f.reason, f.field) for f in example.faults] == [(reason, "line 3")]


def test_geometry_is_left_to_ingestion(tmp_path):
    assert [o.box for o in one(tmp_path, "0 2 0.5 0 -1\n0.0 0.5 0.5 1 1").objects] == [
        (40, 10, 40, 0),
        (0, 0, 20, 10),
    ]


def test_a_file_without_one_usable_line(tmp_path):
    example = one(tmp_path, bytes(range(256)))
    assert (example.data, example.reason) == (None, "malformed")
    assert one(tmp_path, "\n \n").objects == ()


def test_not_every_fault_of_very_many_is_told(tmp_path):
    faults = one(tmp_path, LINE + "\nx" * (MAX_FAULTS + 50)).faults
    assert len(faults) == MAX_FAULTS + 1
    assert faults[-1].detail.startswith("50 more")


def test_an_image_of_unknown_size(tmp_path):
    example = one(tmp_path, LINE, b"no image")
    assert (example.data, example.objects) == (b"no image", ())
    assert [f.reason for f in example.faults] == ["unreadable"]


BOMB = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "names: [cat",
        "- cat",
        "",
        "names: 3",
        "names: []",
        "names: {a: cat}",
        "names: [[cat]]",
        "names: [cat]\nnc: 2",
        "names: !!python/object/apply:os.system [ls]",
        "names: 2020-99-99",
        "[" * 5000,
        f"names: [cat]\nnc: {'9' * 5000}",
        BOMB + "names: *i",
        "train: images",
    ],
)
def test_unusable_yaml(tmp_path, text):
    write(tmp_path, {"images/a.png": None, "data.yaml": text})
    with pytest.raises(UserError):
        YOLOReader(str(tmp_path))


def test_unusable_sources(tmp_path):
    write(tmp_path / "empty", {}, names=["cat"], train="images")
    for argument in ("", str(tmp_path / "none"), str(tmp_path), str(tmp_path / "empty")):
        with pytest.raises(UserError):
            YOLOReader(argument)


def test_names_by_number_alone(tmp_path):
    assert read(write(tmp_path, {"images/a.png": None}, nc=2))[0].classes() == ["class_0", "class_1"]


def test_the_fingerprint_follows_content(tmp_path):
    prints = []
    for labels, names in ((LINE, ["a"]), (LINE, ["a"]), ("", ["a"]), ("", ["b"])):
        write(tmp_path, {"images/a.png": None, "labels/a.txt": labels}, names=names, train="images")
        prints.append(YOLOReader(str(tmp_path)).fingerprint(tmp_path))
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def mutate(text, chance):
    data = bytearray(text.encode())
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(data) + 1)
        data[place : place + chance.randrange(6)] = chance.choice(
            [chance.randbytes(2), b"\n", b" ", b"9", b"../", b"["]
        )
    return bytes(data)


def test_fuzz(tmp_path):
    settings = "names: [cat, dog]\nnc: 2\ntrain: images/train\nval: val.txt\n"
    lines = f"{LINE}\n1 0.1 0.1 0.2 0.2 0.3 0.1\n"
    kinds = {"refused": 0, "told": 0, "clean": 0}
    for seed in range(300):
        chance = random.Random(seed)  # noqa: S311
        files = {"images/train/a.png": None, "images/val/b.png": None, "labels/val/b.txt": LINE}
        files["labels/train/a.txt"] = mutate(lines, chance)
        files["val.txt"] = mutate("images/val/b.png\n", chance) if seed % 2 else "images/val/b.png"
        files["data.yaml"] = mutate(settings, chance) if seed % 3 == 0 else settings
        try:
            found = read(write(tmp_path, files))[1]
        except UserError:
            kinds["refused"] += 1
            continue
        told = bool(reasons(found)) or any(e.faults for e in found.values())
        assert told or len(found) == 2 or seed % 3 == 0
        example = found.get("images/train/a.png")
        if example and example.data:
            given = [
                line for line in files["labels/train/a.txt"].decode("latin-1").splitlines() if line.strip()
            ]
            assert len(example.objects) + len(example.faults) >= 1 or not given
        kinds["told" if told else "clean"] += 1
    assert min(kinds.values()) > 10


def labels_and_splits(found):
    return {key: (len(e.objects), e.split) for key, e in found.items() if e.data is not None}


def test_an_export_of_roboflow(tmp_path):
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\nnames: ['cat']\n\n"
    files = {
        "data.yaml": text + "roboflow:\n  workspace: w\n  version: 1\n  url: https://x\n",
        "README.roboflow.txt": "x",
    }
    for split in ("train", "valid", "test"):
        files |= {
            f"{split}/images/a_jpg.rf.0{split}.png": None,
            f"{split}/labels/a_jpg.rf.0{split}.txt": LINE,
        }
    reader, found = read(write(tmp_path, files))
    assert labels_and_splits(found) == {
        "train/images/a_jpg.rf.0train.png": (1, "train"),
        "valid/images/a_jpg.rf.0valid.png": (1, "validation"),
        "test/images/a_jpg.rf.0test.png": (1, "test"),
    }
    assert (reader.classes(), len(found)) == (["cat"], 3)


def test_a_data_set_of_ultralytics(tmp_path):
    text = (
        "path: ../datasets/coco8  # dataset root dir\ntrain: images/train\nval: [images/val, images/more]\n"
    )
    text += "test:  # optional\nnames:\n  0: person\n  '1': 2024\ndownload: https://x/coco8.zip\n"
    files = {"datasets/coco8/images/train/1.png": None, "datasets/coco8/labels/train/1.txt": "1 0.5 0.5 1 1"}
    files |= {f"datasets/coco8/images/{name}/2{name}.png": None for name in ("val", "more")}
    write(tmp_path, files | {"configs/coco8.yaml": text})
    reader, found = read(tmp_path / "configs/coco8.yaml")
    assert reader.classes() == ["person", "2024"]
    expected = {"images/train/1.png": (1, "train")}
    assert labels_and_splits(found) == expected | {
        f"images/{name}/2{name}.png": (0, "validation") for name in ("val", "more")
    }
    (tmp_path / "configs/coco8.yaml").rename(tmp_path / "datasets/coco8/data.yaml")
    assert labels_and_splits(read(tmp_path / "datasets/coco8")[1]) == labels_and_splits(found)


def test_an_export_of_label_studio(tmp_path):
    files = {"classes.txt": "cat\ndog\n", "notes.json": "{}", "images/a.png": None, "labels/a.txt": LINE}
    reader, found = read(write(tmp_path, files))
    assert (reader.classes(), labels_and_splits(found)) == (["cat", "dog"], {"images/a.png": (1, "")})


@pytest.mark.parametrize("start", ["images/train/", "./images/train/", "data/images/train/"])
def test_an_export_of_cvat(tmp_path, start):
    text = "path: ./\nnames:\n  0: cat\ntrain: train.txt\n"
    files = {"data.yaml": text, "train.txt": f"{start}a.png\n", "images/train/a.png": None}
    found = read(write(tmp_path, files | {"labels/train/a.txt": LINE}))[1]
    assert labels_and_splits(found) == {"images/train/a.png": (1, "train")}
    assert len(found) == 1


@pytest.mark.parametrize("start", ["", "data/"])
def test_the_layout_of_darknet(tmp_path, start):
    files = {"obj.names": "cat\ndog\n", "obj.data": "classes = 2\ntrain = data/train.txt\n"}
    for split in ("train", "valid"):
        files[f"{split}.txt"] = f"{start}obj_{split}_data/{split}.png\n"
        files |= {f"obj_{split}_data/{split}.png": None, f"obj_{split}_data/{split}.txt": LINE}
    reader, found = read(write(tmp_path, files))
    assert reader.classes() == ["cat", "dog"]
    assert labels_and_splits(found) == {
        "obj_train_data/train.png": (1, "train"),
        "obj_valid_data/valid.png": (1, "validation"),
    }
    assert len(found) == 2


@pytest.mark.parametrize("names", [{"0": "cat", "1": "dog"}, {0: "cat", 1: "dog"}, ["cat", "dog"]])
def test_forms_of_names(tmp_path, names):
    assert read(write(tmp_path, {"images/a.png": None}, names=names))[0].classes() == ["cat", "dog"]
