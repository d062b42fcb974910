"""Class folders as users have them."""

import os

import pytest
from small_images import class_files, encode, noise, write_files

from conveyor.components.example_gen.readers.folder import FolderReader
from conveyor.components.example_gen.readers.names import SUFFIXES
from conveyor.components.example_gen.readers.reader import open_source
from conveyor.pipeline.errors import UserError

IMAGE = encode(noise(6, 5))


def folder(tmp_path, *names):
    """Writes one image under each name; returns the folder."""
    return write_files(tmp_path / "data", dict.fromkeys(names, IMAGE))


def read(path):
    """Returns key -> example of all that a reader gives."""
    reader = FolderReader(str(path))
    examples = [example for chunk in reader.chunks() for example in reader.read(chunk)]
    found = {example.key: example for example in examples}
    assert len(found) == len(examples), "keys are unique"
    return found


def labels(path):
    """Returns key -> (class, split)."""
    return {key: (example.label, example.split) for key, example in read(path).items()}


def test_class_folders(tmp_path):
    path = folder(tmp_path, "cat/1.png", "dog/1.png", "dog/2.png")
    assert labels(path) == {"cat/1.png": ("cat", ""), "dog/1.png": ("dog", ""), "dog/2.png": ("dog", "")}
    reader = open_source(f"folder:{path}")
    assert (reader.classes(), reader.splits()) == (["cat", "dog"], set())
    assert read(path)["cat/1.png"].data == IMAGE


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[(name, "train") for name in ("train", "training", "Train", "TRAINING")],
        *[(name, "validation") for name in ("val", "valid", "validation", "dev", "Val")],
        *[(name, "test") for name in ("test", "testing", "TEST")],
    ],
)
def test_names_of_splits(tmp_path, name, split):
    path = folder(tmp_path, f"{name}/cat/1.png")
    assert labels(path) == {f"{name}/cat/1.png": ("cat", split)}
    assert FolderReader(str(path)).splits() == {split}
    assert FolderReader(str(path)).classes() == ["cat"]


def test_splits_of_which_two_names_mean_one(tmp_path):
    path = folder(tmp_path, "train/cat/1.png", "val/cat/1.png", "dev/dog/1.png")
    assert labels(path) == {
        "train/cat/1.png": ("cat", "train"),
        "val/cat/1.png": ("cat", "validation"),
        "dev/dog/1.png": ("dog", "validation"),
    }
    assert FolderReader(str(path)).classes() == ["cat", "dog"]


def test_deeper_folders_belong_to_their_class(tmp_path):
    path = folder(tmp_path, "train/cat/2020/may/1.png", "test/dog/1.png")
    assert labels(path)["train/cat/2020/may/1.png"] == ("cat", "train")
    path = folder(tmp_path / "other", "cat/train/1.png", "dog/1.png")
    assert labels(path) == {"cat/train/1.png": ("cat", ""), "dog/1.png": ("dog", "")}


def test_a_class_may_be_called_like_a_split(tmp_path):
    path = folder(tmp_path, "bus/1.png", "train/1.png", "train/old/1.png")
    assert labels(path)["train/old/1.png"] == ("train", "")
    assert FolderReader(str(path)).classes() == ["bus", "train"]


def test_splits_beside_other_folders(tmp_path):
    """Silently taken as classes, they would train a model to tell splits apart."""
    path = folder(tmp_path, "train/cat/1.png", "test/cat/1.png", "unsorted/1.png")
    with pytest.raises(UserError, match="some folders are named like splits") as caught:
        FolderReader(str(path))
    assert caught.value.received == "test, train, unsorted"


def test_folders_without_images_are_no_reason_to_miss_the_splits(tmp_path):
    path = folder(tmp_path, "train/cat/1.png", "test/dog/1.png")
    (path / "papers").mkdir()
    (path / "papers" / "license.txt").write_text("free")
    assert FolderReader(str(path)).splits() == {"train", "test"}
    assert FolderReader(str(path)).classes() == ["cat", "dog"]


def test_an_empty_class_folder_is_a_class(tmp_path):
    path = folder(tmp_path, "cat/1.png", "dog/1.png")
    (path / "bird").mkdir()
    assert FolderReader(str(path)).classes() == ["bird", "cat", "dog"]
    path = folder(tmp_path / "other", "train/cat/1.png", "test/cat/1.png")
    (path / "test" / "bird").mkdir()
    assert FolderReader(str(path)).classes() == ["bird", "cat"]


def test_what_is_no_data(tmp_path):
    path = folder(
        tmp_path,
        "cat/1.png",
        "cat/.hidden.png",
        "cat/.thumbnails/1.png",
        ".trash/1.png",
        "cat/notes.txt",
        "cat/png",
        "cat/1.png.bak",
        "beside.png",
    )
    (path / "cat" / "folder.png").mkdir()
    assert list(labels(path)) == ["cat/1.png"]
    assert FolderReader(str(path)).classes() == ["cat"]


def test_images_in_a_split_but_in_no_class(tmp_path):
    path = folder(tmp_path, "train/cat/1.png", "train/stray.png")
    assert list(labels(path)) == ["train/cat/1.png"]


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_suffixes(tmp_path, suffix):
    path = folder(tmp_path, f"cat/1{suffix}", f"cat/2{suffix.upper()}", f"cat/3.tar{suffix}")
    assert len(labels(path)) == 3


ODD_NAMES = [
    "a b/c d.png",
    "näive 猫/😀.png",
    "[a]*?{b}/(1)$HOME;`x`.png",
    "quote'\"/back\\slash.png",
    "line\nbreak/line\nbreak.png",
    "-rf/--help.png",
    "%41/%00.png",
    " space / space.png",
    "n" * 200 + "/" + "n" * 200 + ".png",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(tmp_path, name):
    path = folder(tmp_path, name)
    assert labels(path) == {name: (name.split("/")[0], "")}
    assert read(path)[name].data == IMAGE


def test_names_that_are_no_text(tmp_path):
    """As unpacked from an archive that was made in another encoding."""
    path = folder(tmp_path, "cat/1.png")
    odd = os.fsencode(path) + b"/caf\xe9"
    try:
        os.mkdir(odd)
    except OSError:
        pytest.skip("this file system knows only names that are text")
    with open(odd + b"/\xe9t\xe9.png", "wb") as file:
        file.write(IMAGE)
    found = read(path)
    assert set(found) == {"cat/1.png", "caf\\xe9/\\xe9t\\xe9.png"}
    example = found["caf\\xe9/\\xe9t\\xe9.png"]
    assert (example.label, example.data) == ("caf\\xe9", IMAGE)
    assert FolderReader(str(path)).classes() == ["caf\\xe9", "cat"]
    FolderReader(str(path)).fingerprint(tmp_path)


def test_links_are_followed(tmp_path):
    real = folder(tmp_path, "cat/1.png", "dog/1.png")
    linked = folder(tmp_path / "linked", "bird/1.png")
    (linked / "cat").symlink_to(real / "cat")
    (linked / "bird" / "2.png").symlink_to(real / "dog" / "1.png")
    assert set(labels(linked)) == {"bird/1.png", "bird/2.png", "cat/1.png"}
    splits = tmp_path / "splits"
    splits.mkdir()
    (splits / "train").symlink_to(real)
    (splits / "test").symlink_to(linked)
    assert FolderReader(str(splits)).splits() == {"train", "test"}
    assert labels(splits)["test/cat/1.png"] == ("cat", "test")


def test_links_in_a_circle_end(tmp_path):
    path = folder(tmp_path, "cat/1.png", "dog/1.png")
    (path / "cat" / "up").symlink_to(path)
    (path / "cat" / "self").symlink_to(path / "cat")
    (path / "dog" / "other").symlink_to(path / "cat")
    found = labels(path)
    assert found.pop("dog/other/1.png") == ("dog", "")
    assert set(found) == {"cat/1.png", "dog/1.png"}


def test_what_cannot_be_read_is_told(tmp_path):
    path = folder(tmp_path, "cat/1.png", "cat/2.png", "cat/3.png")
    (path / "cat" / "nowhere.png").symlink_to(tmp_path / "nowhere")
    reader = FolderReader(str(path))
    (chunk,) = reader.chunks()
    (path / "cat" / "2.png").unlink()  # between listing and reading
    (path / "cat" / "3.png").unlink()
    (path / "cat" / "3.png").mkdir()
    found = {example.key: (example.data, example.error) for example in reader.read(chunk)}
    assert found == {
        "cat/1.png": (IMAGE, ""),
        "cat/2.png": (None, "No such file or directory"),
        "cat/3.png": (None, "Is a directory"),
        "cat/nowhere.png": (None, "No such file or directory"),
    }


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="all may be read by root")
def test_without_permission(tmp_path):
    path = folder(tmp_path, "cat/1.png", "dog/1.png")
    (path / "cat" / "1.png").chmod(0)
    assert read(path)["cat/1.png"].error == "Permission denied"
    (path / "dog").chmod(0)
    try:
        with pytest.raises(PermissionError):
            FolderReader(str(path))
    finally:
        (path / "dog").chmod(0o700)


def test_a_folder_that_cannot_be_listed_is_not_skipped(tmp_path, monkeypatch):
    path = folder(tmp_path, "cat/1.png", "dog/1.png")
    scandir = os.scandir

    def refuse(folder):
        if os.fspath(folder).endswith("dog"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError):
        FolderReader(str(path))


def test_a_pipe_is_not_read(tmp_path):
    path = folder(tmp_path, "cat/1.png")
    os.mkfifo(path / "cat" / "pipe.png")
    assert list(labels(path)) == ["cat/1.png"]  # and it does not wait for ever


@pytest.mark.parametrize(
    ("files", "received"),
    [
        ([], "0 entries"),
        (["1.png", "2.png"], "2 entries"),
        (["cat/1.txt", "dog/readme"], "2 entries"),
        (["train/1.png", "test/2.png"], "2 entries"),
    ],
)
def test_folders_without_images(tmp_path, files, received):
    path = folder(tmp_path, *files)
    with pytest.raises(UserError, match="holds no images in class folders") as caught:
        FolderReader(str(path))
    assert caught.value.received.startswith(received)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("source", ["folder:", "folder", "folder:/no/such/folder", "folder:{file}"])
def test_no_folder(tmp_path, source):
    (tmp_path / "file").touch()
    source = source.format(file=tmp_path / "file")
    with pytest.raises(UserError, match=r"no such file or folder|this is no folder") as caught:
        open_source(source)
    assert caught.value.expected.startswith("folder:DIR")


def test_the_home_folder_is_known(tmp_path, monkeypatch):
    folder(tmp_path, "cat/1.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FolderReader("~/data").folder == str(tmp_path / "data")


def test_chunks_mix_classes_and_do_not_depend_on_the_place(tmp_path):
    files = class_files(("a", "b"), each=100)
    here = FolderReader(str(write_files(tmp_path / "here", files)))
    there = FolderReader(str(write_files(tmp_path / "there", dict(reversed(files.items())))))
    assert here.chunks() == there.chunks()
    for chunk in here.chunks()[:3]:
        share = sum(label == "a" for _, label, _ in chunk) / len(chunk)
        assert 0.25 < share < 0.75


def test_fingerprint(tmp_path):
    files = class_files(each=3)
    path = write_files(tmp_path / "data", files)
    reader = FolderReader(str(path))

    def fingerprint(folder=path):
        return FolderReader(str(folder)).fingerprint(tmp_path / "workspace")

    (tmp_path / "workspace").mkdir()
    before = fingerprint()
    assert reader.fingerprint(tmp_path / "workspace") == before
    (path / "notes.txt").write_text("not data")
    os.utime(path / "cat" / "0.png", (1, 1))
    assert fingerprint() == before
    assert fingerprint(write_files(tmp_path / "elsewhere", files)) == before
    os.rename(path / "cat" / "0.png", path / "cat" / "9.png")
    renamed = fingerprint()
    assert renamed != before
    (path / "cat" / "9.png").write_bytes(files["dog/0.png"])
    assert fingerprint() not in (before, renamed)
