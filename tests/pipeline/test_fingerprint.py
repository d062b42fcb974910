import os

import pytest

from conveyor.pipeline import fingerprint
from conveyor.pipeline.fingerprint import fingerprint_files

NAMES = ["a.png", "cats/b.png"]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "cats").mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(b"image " + name.encode())
        set_age(folder / name, 60)
    return folder


def set_age(path, seconds):
    when = path.stat().st_ctime_ns - seconds * 1_000_000_000
    os.utime(path, ns=(when, when))


@pytest.fixture
def look(images, workspace, monkeypatch):
    """Takes the fingerprint; `look.read` lists the files whose content was read for it."""

    def look(names=NAMES, folder=images):
        look.read = []

        def digest_file(path, real=fingerprint.digest_file):
            look.read.append(os.path.relpath(path, folder))
            return real(path)

        with monkeypatch.context() as patch:
            patch.setattr(fingerprint, "digest_file", digest_file)
            return fingerprint_files(str(folder), names, workspace.root)

    return look


def test_depends_on_content(look, images):
    before = look()
    (images / "a.png").write_bytes(b"image A.png")
    assert look() != before


def test_depends_on_names(look, images):
    before = look()
    assert look(["a.png"]) != before
    (images / "a.png").rename(images / "c.png")
    assert look(["c.png", "cats/b.png"]) != before


def test_depends_on_which_name_has_which_content(look, images):
    before = look()
    (images / "a.png").rename(images / "x")
    (images / "cats/b.png").rename(images / "a.png")
    (images / "x").rename(images / "cats/b.png")
    assert look() != before


def test_does_not_depend_on_order_place_or_other_files(look, images, tmp_path):
    before = look()
    (images / "notes.txt").write_text("unrelated")
    assert look(NAMES[::-1]) == before
    images.rename(tmp_path / "moved")
    assert look(folder=tmp_path / "moved") == before


def test_file_is_read_once_until_it_changes(look, images):
    before = look()
    assert sorted(look.read) == NAMES
    assert (look(), look.read) == (before, [])
    set_age(images / "a.png", 30)  # touched: read again, to no effect
    assert (look(), look.read) == (before, ["a.png"])
    assert (look(), look.read) == (before, [])


def test_change_within_the_same_tick_of_the_clock_is_noticed(look, images):
    file = images / "a.png"
    file.write_bytes(b"new image")
    stat = file.stat()
    before = look()
    file.write_bytes(b"New image")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert look() != before


def test_file_that_is_missing_or_cannot_be_read(look, images):
    whole = look()
    (images / "a.png").unlink()
    gone = look()
    (images / "a.png").mkdir()  # can be found, but not read, even by root
    assert look() == gone != whole
    (images / "a.png").rmdir()
    (images / "a.png").write_bytes(b"image a.png")
    assert look() == whole


def test_file_that_can_be_read_again(look, images, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "digest_file", refuse)
        refused = fingerprint_files(str(images), NAMES, images.parent / "space")
    assert look() != refused  # permission does not show in size and time


def test_no_files(look):
    assert look([]) == look([]) != look()


def test_name_that_is_not_utf8(look, images):
    name = os.fsdecode(b"caf\xe9.png")
    (images / name).write_bytes(b"x")
    set_age(images / name, 60)
    before = look([name])
    assert (look([name]), look.read) == (before, [])
