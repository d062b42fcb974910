"""Formats are recognised, the richest first; what is none is told with what was seen."""

import pytest
import small_sources
from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem
from small_images import class_files, encode, noise, write_files
from small_sources import IMAGES, coco_json, within

from conveyor.components.commands import survey as survey_module
from conveyor.components.commands.detect import FORMATS, detect
from conveyor.components.commands.survey import survey
from conveyor.pipeline.errors import UserError

INSIDE = {"csv": "list.csv", "npz": "data.npz"}
KNOWS = {"coco": "objects", "voc": "objects", "yolo": "objects", "masks": "mask"}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format(tmp_path, name):
    root = getattr(small_sources, name)(tmp_path / "data")
    found = detect(str(root))
    inside = root / INSIDE[name] if name in INSIDE else root
    assert found.source == f"{name}:{inside}"
    assert found.entered == ""
    assert found.reader.annotations == {KNOWS.get(name, "label")}
    counts = survey(found.reader)
    assert (counts.examples, counts.complete, counts.median_size) == (12, True, (30, 20))
    assert not counts.set_aside
    assert not counts.faults
    if name in ("coco", "voc", "yolo"):
        assert counts.objects == {"cat": 10, "dog": 2}
        assert counts.outlines == (12 if name == "coco" else 0)
    elif name == "masks":
        assert counts.masks == 12
    else:
        assert counts.labels == ({"cat": 6, "dog": 6} if name in ("npz", "folder") else {"cat": 10, "dog": 2})
    if name == "csv":
        assert counts.splits == {"train": 4, "test": 8}


@pytest.mark.parametrize("name", ["coco", "csv", "npz", "yolo"])
def test_a_file(tmp_path, name):
    root = getattr(small_sources, name)(tmp_path / "data")
    (root / "data.yaml").write_text("names: [cat, dog]\ntrain: images\n")
    file = root / {**INSIDE, "coco": "instances.json", "yolo": "data.yaml"}[name]
    assert detect(str(file)).source == f"{name}:{file}"


def test_the_richest_format_is_taken_and_the_others_are_told(tmp_path):
    root = small_sources.masks(tmp_path / "data")
    write_files(root, {"instances.json": coco_json(), "classes.txt": b"background\nnucleus\n"})
    found = detect(str(root))
    assert found.format == "coco"
    # No labels/*.txt: as YOLO these are images without objects.
    assert found.alternatives == [f"masks:{root}"]


def test_a_list_is_richer_than_class_folders(tmp_path):
    root = write_files(tmp_path / "data", class_files(each=3))
    write_files(root, {"list.csv": b"path,label\ncat/0.png,a\ndog/0.png,b\n", "notes.csv": b"a,b\n1,2\n"})
    found = detect(str(root))
    assert found.source == f"csv:{root / 'list.csv'}"
    assert found.alternatives == []


def test_files_that_are_no_annotations_do_not_hide_class_folders(tmp_path):
    more = {
        "names.json": b'["cat"]',
        "x.json": b"{",
        "a.npz": b"",
        "a.yaml": b"a: 1",
        "classes.txt": b"cat\n",
    }
    root = write_files(tmp_path / "data", {**class_files(each=3), **more})
    assert detect(str(root)).source == f"folder:{root}"


def test_the_only_folder_is_entered(tmp_path):
    root = small_sources.voc(tmp_path / "VOCdevkit" / "VOC2007" / "VOC").parents[1]
    write_files(root, {"README.md": b"hello"})
    found = detect(str(root))
    assert found.source == f"voc:{root}/VOC2007/VOC"
    assert found.entered == "VOC2007/VOC"


def test_images_of_classes_in_one_folder_are_entered(tmp_path):
    root = write_files(tmp_path / "data", within("images", class_files(each=3)))
    assert detect(str(root)).source == f"folder:{root}/images"


def test_splits_of_class_folders(tmp_path):
    files = {**within("train", class_files(each=3)), **within("val", class_files(each=2, seed=1))}
    counts = survey(detect(str(write_files(tmp_path / "data", files))).reader)
    assert counts.splits == {"train": 6, "validation": 4}


@pytest.mark.parametrize(
    ("files", "what", "told"),
    [
        ({}, "of no format that is known", "an empty folder"),
        ({"a.txt": b"", "b.txt": b"", "c/d.txt": b""}, "of no format that is known", "2 .txt, 1 folders (c)"),
        (IMAGES, "of no format that is known", "12 .png"),
        (within("cat", IMAGES), "of no format that is known", "folder: there is only one class folder"),
        ({"a.zip": b"PK", "a.tar.gz": b""}, "of no format that is known", "1 .gz, 1 .zip"),
        (
            {**within("images", IMAGES), "x.json": b'{"images": 1}'},
            "of no format that is known",
            "coco: there is no COCO data here",
        ),
    ],
)
def test_what_is_no_format_is_told(tmp_path, files, what, told):
    root = write_files(tmp_path / "data", files)
    with pytest.raises(UserError, match=what) as caught:
        detect(str(root))
    assert told in caught.value.received
    assert all(form in caught.value.expected for form in FORMATS)
    assert caught.value.where == str(root)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        # 255 is void, and there is nothing else
        ({f"masks/{n}.png": encode(noise(20, 30) // 128 * 255) for n in range(12)}, "0 and 255 only"),
        ({"masks/unrelated.png": encode(noise(20, 30))}, "no image with a mask"),
        ({"labels/0.txt": b"0 0.5 0.5 0.1 0.1\n"}, "classes have no names"),
        ({"Annotations/0.xml": b"<annotation/>"}, "voc: there is no annotated image"),
        ({"annotations/instances.json": b"{"}, "coco: the JSON file cannot be read"),
    ],
)
def test_a_layout_whose_content_cannot_be_used_is_told_as_that(tmp_path, files, told):
    root = write_files(tmp_path / "data", {**within("images", IMAGES), **files})
    with pytest.raises(UserError, match=told):
        detect(str(root))


@pytest.mark.parametrize("name", ["data.csv", "data.npz", "data.json", "data.yaml"])
def test_a_broken_file_is_told_by_its_reader(tmp_path, name):
    file = write_files(tmp_path, {name: b"\xff\xfe{broken"}) / name
    with pytest.raises(UserError) as caught:
        detect(str(file))
    assert str(file) in caught.value.where
    assert "of no format" not in caught.value.what


@pytest.mark.parametrize("name", ["absent", "", "nul\0byte"])
def test_data_that_is_not_there(tmp_path, name):
    with pytest.raises(UserError, match="no such file or folder"):
        detect(str(tmp_path / name) if name else "")


def test_a_file_of_another_kind(tmp_path):
    write_files(tmp_path, {"data.zip": b"PK"})
    with pytest.raises(UserError, match="of no format") as caught:
        detect(str(tmp_path / "data.zip"))
    assert caught.value.received == "a file"


def test_an_object_store(tmp_path, monkeypatch):
    root = small_sources.coco(tmp_path / "data")
    memory = type("Store", (MemoryFileSystem,), {"store": {}, "pseudo_dirs": [""], "cachable": False})()
    for path in root.rglob("*.*"):
        memory.pipe_file(f"gs://bucket/data/inner/{path.relative_to(root)}", path.read_bytes())
    monkeypatch.setattr(backend._FileSystemSpecBackend, "_get_filesystem", lambda *_: memory)
    found = detect("gs://bucket/data/")
    assert (found.source, found.entered) == ("coco:gs://bucket/data/inner", "inner")
    assert survey(found.reader).objects == {"cat": 10, "dog": 2}


def test_links_in_circles_end(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    with pytest.raises(UserError, match="of no format"):
        detect(str(tmp_path / "data"))


def test_a_survey_ends(tmp_path, monkeypatch):
    found = detect(str(small_sources.folder(tmp_path / "data")))
    monkeypatch.setattr(survey_module, "MAX_EXAMPLES", 5)
    counts = survey(found.reader)
    assert (counts.examples, counts.complete) == (5, False)
    monkeypatch.setattr(survey_module, "MAX_EXAMPLES", 12)
    assert survey(found.reader).complete
    monkeypatch.setattr(survey_module, "MAX_BYTES", len(IMAGES["0.png"]) * 3)
    counts = survey(found.reader)
    assert 3 <= counts.examples <= 5
    assert not counts.complete


def test_a_survey_counts_what_cannot_be_used(tmp_path):
    root = small_sources.coco(tmp_path / "data")
    write_files(root, {"images/extra.png": IMAGES["0.png"], "images/0.png": b"no image"})
    (root / "images" / "1.png").unlink()
    counts = survey(detect(str(root)).reader)
    assert counts.set_aside == {"missing_annotation": 1, "missing_image": 1}
    assert (counts.examples, len(counts.sizes)) == (11, 10)  # that 0.png is none, decoding will tell
