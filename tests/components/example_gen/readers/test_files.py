"""Listing and reading files, whatever lies in a folder."""

import os
import pathlib
import subprocess
import sys

import pytest

from conveyor.components.example_gen.readers import files
from conveyor.components.example_gen.readers.files import Listing, locate, read_image, read_limited
from conveyor.components.example_gen.readers.names import UnsafePathError, safe_path, shown
from conveyor.components.example_gen.readers.values import image_size
from conveyor.pipeline.errors import UserError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_a_listing(tmp_path):
    touch(tmp_path, "b.png", "a/c.png", "a/.d.png", ".e/f.png", "a/b/g.png")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    os.mkfifo(tmp_path / "pipe")
    listing = Listing(str(tmp_path))
    assert set(listing.files()) == {"b.png", "nowhere", "itself"}
    assert listing.folders() == ["a", "link"]
    assert set(listing.files("a")) == {"c.png", ".d.png"}
    assert listing.has("a/c.png")
    assert listing.has(".e/f.png")
    assert not any(map(listing.has, ("c.png", "a", "a/none/x", "b.png/x", "x" * 5000, "pipe", "a\0b/c")))
    walked = ["a/c.png", "a/b/g.png", "link/c.png", "link/b/g.png"]
    assert list(listing.walk()) == ["b.png", "itself", "nowhere", *walked]
    assert list(listing.walk("a/b")) == ["a/b/g.png"]


def test_every_directory_is_listed_once(tmp_path, monkeypatch):
    touch(tmp_path, "a/b.png", "c.png")
    scanned, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(path) or scandir(path))
    listing = Listing(str(tmp_path))
    for _ in range(3):
        assert len(list(listing.walk())) == 2
        assert listing.has("a/b.png")
        assert not listing.has("a/c.png")
    assert len(scanned) == 2


def test_a_very_deep_folder(tmp_path):
    touch(tmp_path, "/".join("d" * 400) + "/a.png")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        assert [path[-7:] for path in Listing(str(tmp_path)).walk()] == ["d/a.png"]
    finally:
        sys.setrecursionlimit(limit)


def test_links_that_multiply_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_LINKED", 1000)
    for one in "abcdefgh":
        (tmp_path / one).mkdir()
        for other in "abcdefgh":
            (tmp_path / one / f"to_{other}").symlink_to(tmp_path / other)
    with pytest.raises(UserError, match="links between folders"):
        list(Listing(str(tmp_path)).walk())


@pytest.mark.parametrize("error", [PermissionError(13, "no"), OSError(5, "I/O error")])
def test_a_folder_that_cannot_be_listed_is_not_taken_for_empty(tmp_path, monkeypatch, error):
    def refuse(_):
        raise error

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OSError, match=error.strerror):
        Listing(str(tmp_path)).files()


def test_limits(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_limited(str(tmp_path / "a"), 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_limited(str(tmp_path / "a"), 4)
    assert read_image(str(tmp_path), "a") == (b"12345", "unreadable", "")
    monkeypatch.setattr(files, "MAX_IMAGE", 4)
    assert read_image(str(tmp_path), "a") == (None, "too_large", "larger than 4 bytes")
    assert read_image(str(tmp_path), "b") == (None, "unreadable", "No such file or directory")
    assert read_image(str(tmp_path), "") == (None, "unreadable", "Is a directory")


def test_what_a_source_names(tmp_path, monkeypatch):
    touch(tmp_path, "a/b")
    monkeypatch.chdir(tmp_path)
    assert locate("a", "") == (str(tmp_path / "a"), True)
    assert locate("a/../a/b", "") == (str(tmp_path / "a/b"), False)
    os.mkfifo("pipe")
    for name in ("", "none", "a/b/c", "a\0", "pipe"):
        with pytest.raises(UserError) as caught:
            locate(name, "usage")
        assert caught.value.expected == "usage"


@pytest.mark.parametrize(
    ("name", "path"),
    [("a/b", "a/b"), (" ./a//b/ ", "a/b"), ("a\\b.png", "a/b.png"), ("..a/b..", "..a/b.."), ("é😀", "é😀")],
)
def test_safe_paths(name, path):
    assert safe_path(name) == path


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "/a",
        "~/a",
        "\\\\host\\a",
        "C:\\a",
        "c:a",
        "..",
        "a/..",
        "a/../b",
        "..\\a",
        "a\0b",
        "gs://a/b",
    ],
)
def test_unsafe_paths(name):
    with pytest.raises(UnsafePathError):
        safe_path(name)


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000, pytest.param(10**10_000, id="huge"), ["x"] * 10_000, {"a": "b" * 10_000}, "\ud800" * 9999],
)
def test_what_is_shown_is_short(value):
    assert len(shown(value).encode("utf-8", "backslashreplace")) < 300


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (20, 10, (20, 10)),
        ("20", "10.0", (20, 10)),
        (20.5, 10, None),
        (-20, 10, None),
        (float("nan"), 10, None),
        ("9" * 500, 10, None),
        (10**500, 10, None),
        (True, 10, None),
        (None, 10, None),
        ([20], {}, None),
    ],
)
def test_sizes_of_images(width, height, size):
    assert image_size(width, height) == size


def test_readers_import_no_tensorflow_and_no_file_system_of_a_store():
    names = [
        f.stem for f in pathlib.Path(files.__file__).parent.glob("*.py") if f.stem not in ("__init__", "tfds")
    ]
    code = "import sys, importlib\n" + "\n".join(
        f"importlib.import_module('conveyor.components.example_gen.readers.{name}')" for name in sorted(names)
    )
    code += "\nprint([name for name in ('tensorflow', 'gcsfs', 's3fs', 'aiohttp') if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
