"""`conveyor new` as a user types it."""

import pathlib
import subprocess
import sys

import pytest
import small_sources
from small_images import class_files, write_files

HEAVY = {"tensorflow", "keras", "apache_beam", "tensorflow_datasets", "sklearn"}
LIST_MODULES = """
import atexit, sys
atexit.register(lambda: print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr))
from conveyor.__main__ import main
main(["conveyor", *sys.argv[1:]])
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_table_and_next_commands(call):
    small_sources.coco(pathlib.Path("data"))
    code, out, err = call("new", "data")
    assert (code, err) == (0, "")
    for line in (
        "format coco",
        "images 12",
        "classes 2: cat, dog",
        "splits none",
        "objects 12",
        "outlines 12",
        "size 30x20 (median); 30 to 30 wide, 20 to 20 high",
        "wrote data.yaml",
        "conveyor run data.yaml --until example_validator",
        "conveyor run data.yaml # checks the data, and writes a page about it",
    ):
        assert line in lines(out)


def test_labelled_images_are_trained_on(call):
    small_sources.folder(pathlib.Path("data"))
    code, out, _ = call("new", "data", "--out", "x.yml")
    assert code == 0
    assert "labels 12" in lines(out)
    assert "trains and judges a model" in out
    assert pathlib.Path("x.yml").is_file()


def test_json(call_json):
    small_sources.voc(pathlib.Path("data"))
    code, document = call_json("new", "data", "--out", "x.yaml")
    assert code == 0
    assert document["config"] == "x.yaml"
    assert document["source"] == f"voc:{pathlib.Path('data').absolute()}"
    assert document["objects"] == {"cat": 10, "dog": 2}
    assert document["median_size"] == [30, 20]


def test_wrong_input_is_told(call, call_json):
    write_files(pathlib.Path("data"), {"a.txt": b""})
    code, out, err = call("new", "data")
    assert (code, out) == (2, "")
    assert "of no format that is known" in err
    assert "  expected: coco: a JSON file" in err
    assert "\n            folder: two class folders" in err
    code, document = call_json("new", "absent")
    assert code == 2
    assert "no such file or folder" in document["error"]["what"]


def test_a_config_is_not_overwritten_unless_forced(call):
    small_sources.folder(pathlib.Path("data"))
    assert call("new", "data")[0] == 0
    code, _, err = call("new", "data")
    assert code == 2
    assert "is there already" in err
    assert call("new", "data", "--force")[0] == 0


def test_names_do_not_steer_a_terminal(call):
    write_files(pathlib.Path("data"), class_files(("\x1b[31mred", "[red]x")))
    code, out, _ = call("new", "data")
    assert code == 0
    assert "\x1b" not in out
    assert "[red]x" in out


def test_a_look_imports_nothing_heavy():
    small_sources.folder(pathlib.Path("data"))
    command = [sys.executable, "-c", LIST_MODULES, "new", "data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stderr.splitlines()[-1].split())
