import json
import os
import pathlib
import subprocess
import sys

import pytest
from etils import epath

from conveyor.components.pusher import push as module
from conveyor.components.pusher.push import PROVENANCE, push, serves
from conveyor.pipeline.digest import list_files
from conveyor.pipeline.errors import StageError, UserError

SCRIPT = pathlib.Path(__file__).parent / "toys" / "push_once.py"


@pytest.fixture
def base(tmp_path):
    return tmp_path / "serving" / "größe"


def content(folder):
    return {name: (folder / name).read_bytes() for name in list_files(folder)}


def entries(base):
    return sorted(path.name for path in base.iterdir())


def test_version_holds_the_saved_model_and_where_it_comes_from(model, base):
    document = push(model, str(base), {"run": "r1", "metrics": {"accuracy": 0.9}})
    assert document == {"destination": str(base / "1"), "version": 1, "model": model.digest}
    pushed = content(base / "1")
    provenance = json.loads(pushed.pop(PROVENANCE))
    assert pushed == content(model.saved_model)
    assert provenance == {"model": model.digest, "run": "r1", "metrics": {"accuracy": 0.9}}
    assert entries(base) == ["1"]


def test_versions_increase(make_model, base):
    documents = [push(make_model(name), str(base), {}) for name in "abc"]
    assert [document["version"] for document in documents] == [1, 2, 3]
    for name, document in zip("abc", documents, strict=True):
        assert (pathlib.Path(document["destination"]) / "fingerprint.txt").read_text() == name


def test_same_model_is_not_pushed_twice(make_model, base):
    first = push(make_model("a"), str(base), {})
    before = content(base)
    assert push(make_model("a"), str(base), {"run": "later"}) == first
    assert content(base) == before
    push(make_model("b"), str(base), {})
    assert entries(base) == ["1", "2"]
    # 1 holds it, but 2 is what is served
    assert push(make_model("a"), str(base), {})["version"] == 3


@pytest.mark.parametrize(
    ("there", "version"),
    [
        (["3", "10"], 11),
        ([".partial-12345678", "latest", "1a", "-3", "²", "٣", "1" * 19], 1),
        (["007"], 8),
    ],
)
def test_what_is_there_is_left_alone_and_only_numbers_count(model, base, there, version):
    for name in there:
        (base / name).mkdir(parents=True)
        (base / name / "kept.txt").write_text(name)
    assert push(model, str(base), {})["version"] == version
    for name in there:
        assert content(base / name) == {"kept.txt": name.encode()}
    assert entries(base) == sorted([*there, str(version)])


@pytest.mark.parametrize("kind", ["file", "empty folder"])
def test_number_that_is_taken_is_not_taken_again(model, base, kind):
    base.mkdir(parents=True)
    taken = base / "4"
    if kind == "file":
        taken.write_text("a note")
    else:
        taken.mkdir()
    assert push(model, str(base), {})["version"] == 5
    assert taken.is_file() == (kind == "file")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"model": 3}', "\xff"])
def test_foreign_provenance_is_nobody_s_model(model, base, text):
    (base / "1" / "assets.extra").mkdir(parents=True)
    (base / "1" / PROVENANCE).write_bytes(text.encode("latin-1"))
    assert not serves(str(base / "1"), model.digest)
    assert push(model, str(base), {})["version"] == 2


def test_holds(make_model, base):
    a, b = make_model("a"), make_model("b")
    destination = push(a, str(base), {})["destination"]
    assert serves(destination, a.digest)
    assert not serves(destination, b.digest)
    assert not serves(str(base / "2"), a.digest)
    os.remove(base / "1" / PROVENANCE)
    assert not serves(destination, a.digest)


# === what was judged ===


def alter(model):
    (model.saved_model / "saved_model.pb").write_bytes(b"grap!")


def lose(model):
    (model.saved_model / "variables" / "variables.index").unlink()


def add(model):
    (model.saved_model / "more.txt").write_text("more")


def relabel(model):
    manifest = model.path / "artifact.json"
    text = manifest.read_text().replace('"properties": {}', '"properties": {"classes": 3}')
    manifest.write_text(text)


@pytest.mark.parametrize(
    ("change", "named"),
    [(alter, "saved_model.pb"), (lose, "variables.index"), (add, "more.txt"), (relabel, "artifact.json")],
)
def test_model_that_changed_since_is_not_pushed(model, base, change, named):
    change(model)
    with pytest.raises(StageError, match="changed after it was judged") as caught:
        push(model, str(base), {})
    assert named in caught.value.what
    assert not base.exists()


def test_file_that_arrives_damaged_is_noticed(model, base, monkeypatch):
    def copy(reader, writer, size):
        writer.write(reader.read()[:-1])

    monkeypatch.setattr(module.shutil, "copyfileobj", copy)
    with pytest.raises(StageError, match="not copied as it is"):
        push(model, str(base), {})
    assert entries(base) == []


# === all or nothing ===


@pytest.mark.parametrize("after", range(5))
def test_crash_while_copying_leaves_nothing(model, base, monkeypatch, after):
    copied = []
    real = module.shutil.copyfileobj

    def crash(reader, writer, size):
        assert not any(name.isdigit() for name in entries(base))  # no version to be seen as yet
        if len(copied) == after:
            raise OSError(28, "No space left on device")
        copied.append(reader.name)
        real(reader, writer, size)

    monkeypatch.setattr(module.shutil, "copyfileobj", crash)
    with pytest.raises(OSError, match="No space left"):
        push(model, str(base), {})
    assert entries(base) == []
    monkeypatch.undo()
    assert push(model, str(base), {})["version"] == 1


def test_version_is_complete_when_it_appears(model, base, monkeypatch):
    seen = []
    real = epath.Path(base).__class__.rename

    def rename(self, target):
        seen.append(set(list_files(self)))
        return real(self, target)

    monkeypatch.setattr(epath.Path(base).__class__, "rename", rename)
    push(model, str(base), {})
    assert seen == [{*list_files(model.saved_model), PROVENANCE}]


def test_kill_while_copying_leaves_no_version_and_the_next_push_works(model, base, tmp_path):
    code = (
        "import os, sys, shutil\n"
        "real = shutil.copyfileobj\n"
        "def copy(reader, writer, size):\n"
        "    real(reader, writer, size)\n"
        "    writer.flush()\n"
        "    if reader.name.endswith('index'): os.kill(os.getpid(), 9)\n"
        "shutil.copyfileobj = copy\n"
        "from conveyor.components.artifacts import Model\n"
        "from conveyor.components.pusher.push import push\n"
        "push(Model.load(sys.argv[1]), sys.argv[2], {})\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(model.path), str(base)])
    assert killed.returncode == -9
    (left,) = entries(base)
    assert left.startswith(".partial-")
    assert push(model, str(base), {})["version"] == 1
    assert content(base / "1").keys() == {*list_files(model.saved_model), PROVENANCE}


def test_pushes_at_the_same_time_get_versions_of_their_own(make_model, base, tmp_path):
    names = ["a", "b", "c", "d"]
    start = tmp_path / "start"
    started = [
        subprocess.Popen(
            [sys.executable, SCRIPT, make_model(name).path, base, start], stdout=subprocess.PIPE, text=True
        )
        for name in names
    ]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 4
    start.touch()
    versions = [int(process.communicate()[0]) for process in started]
    assert sorted(versions) == [1, 2, 3, 4]
    assert entries(base) == ["1", "2", "3", "4"]
    for name, version in zip(names, versions, strict=True):
        assert (base / str(version) / "fingerprint.txt").read_text() == name


def test_number_taken_between_looking_and_renaming(make_model, base, monkeypatch):
    real = epath.Path(base).__class__.rename
    others = []

    def rename(self, target):
        if len(others) < 3:  # another process was faster, three times
            (base / target.name / "assets.extra").mkdir(parents=True)
            others.append(target.name)
        return real(self, target)

    monkeypatch.setattr(epath.Path(base).__class__, "rename", rename)
    assert push(make_model("a"), str(base), {})["version"] == 4
    assert others == ["1", "2", "3"]


def test_number_that_is_always_taken_is_given_up(model, base, monkeypatch):
    def rename(self, target):
        (base / target.name).mkdir()
        raise FileExistsError(17, "File exists", str(target))

    monkeypatch.setattr(epath.Path(base).__class__, "rename", rename)
    with pytest.raises(UserError, match="no version number could be claimed"):
        push(model, str(base), {})
    assert not any(name.startswith(".partial") for name in entries(base))


def test_rename_that_is_refused_says_why(model, base, monkeypatch):
    def rename(self, target):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(epath.Path(base).__class__, "rename", rename)
    with pytest.raises(PermissionError):
        push(model, str(base), {})
    assert entries(base) == []


# === where to ===


@pytest.mark.parametrize("below", ["", "deeper"])
def test_base_that_is_a_file_is_a_user_error(model, tmp_path, below):
    (tmp_path / "note").write_text("a file")
    with pytest.raises(UserError, match=r"pusher\.to is no directory") as caught:
        push(model, str(tmp_path / "note" / below), {})
    assert str(tmp_path / "note") in caught.value.received
    assert (tmp_path / "note").read_text() == "a file"
