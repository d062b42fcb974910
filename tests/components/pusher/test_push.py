import json
import os
import pathlib
import subprocess
import sys

import pytest
from etils import epath

from conveyor.components.pusher import push as pushing
from conveyor.components.pusher import versions as module
from conveyor.components.pusher.push import roll_back, serves
from conveyor.components.pusher.versions import PROVENANCE
from conveyor.pipeline.digest import list_files
from conveyor.pipeline.errors import StageError, UserError

SCRIPT = pathlib.Path(__file__).parent / "toys" / "push_once.py"


def push(model, base, lineage, keep=100):
    return pushing.push(model, base, lineage, keep)


@pytest.fixture
def base(tmp_path):
    return tmp_path / "serving" / "größe"


def content(folder):
    return {name: (folder / name).read_bytes() for name in list_files(folder)}


def entries(base):
    return sorted(path.name for path in base.iterdir())


def test_version_holds_the_saved_model_and_where_it_comes_from(model, base):
    document = push(model, str(base), {"run": "r1", "metrics": {"accuracy": 0.9}})
    assert document == {"destination": str(base / "1"), "version": 1, "model": model.digest, "removed": []}
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


FOREIGN = ["", "[]", "null", "{", "\xff", '{"model": 3}', '{"model": "a", "instead_of": 3}']


@pytest.mark.parametrize("text", [*FOREIGN, '{"model": "a", "copy_of": "b"}'])
def test_foreign_provenance_is_nobody_s_model(model, base, text):
    (base / "1" / "assets.extra").mkdir(parents=True)
    (base / "1" / PROVENANCE).write_bytes(text.encode("latin-1"))
    assert not serves(str(base / "1"), model.digest)
    assert push(model, str(base), {})["version"] == 2
    assert roll_back(str(base))["copy_of"] == 1


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
        "push(Model.load(sys.argv[1]), sys.argv[2], {}, 5)\n"
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


# === old versions ===


def test_old_versions_are_removed_but_those_of_others(make_model, base):
    (base / "1").mkdir(parents=True)
    documents = [push(make_model(name), str(base), {}, keep=2) for name in "abcd"]
    assert [document["removed"] for document in documents] == [[], [], [2], [3]]
    assert entries(base) == ["1", "4", "5"]


def test_removed_version_is_gone_at_once(make_model, base, monkeypatch):
    seen = []
    real = epath.Path(base).__class__.rmtree

    def rmtree(self):
        seen.append((self.name, entries(base)))
        real(self)

    push(make_model("a"), str(base), {})
    monkeypatch.setattr(epath.Path(base).__class__, "rmtree", rmtree)
    push(make_model("b"), str(base), {}, keep=1)
    ((name, there),) = seen
    assert name.startswith(".removed-1-")
    assert [entry for entry in there if not entry.startswith(".")] == ["2"]


# === rollback ===


def fingerprint(base, version):
    return (base / str(version) / "fingerprint.txt").read_text()


def test_rollback_publishes_the_version_before_as_the_next(make_model, base):
    a, b = make_model("a"), make_model("b")
    push(a, str(base), {"run": "first"})
    push(b, str(base), {})
    before = content(base)
    document = roll_back(str(base))
    assert document == {
        "destination": str(base / "3"),
        "version": 3,
        "copy_of": 1,
        "instead_of": 2,
        "model": a.digest,
    }
    after = content(base / "3")
    origin = json.loads(after.pop(PROVENANCE))
    assert origin == {
        "model": a.digest,
        "run": "first",
        "copy_of": 1,
        "instead_of": {"version": 2, "model": b.digest},
    }
    assert after == content(a.saved_model)
    assert {name: data for name, data in content(base).items() if not name.startswith("3/")} == before
    assert serves(str(base / "3"), a.digest)


def test_rollback_never_goes_to_what_was_taken_back(make_model, base):
    for name in "abc":
        push(make_model(name), str(base), {})
    assert roll_back(str(base))["copy_of"] == 2
    assert roll_back(str(base))["copy_of"] == 1
    assert fingerprint(base, 5) == "a"
    with pytest.raises(UserError, match="no such version to go back to"):
        roll_back(str(base))
    push(make_model("d"), str(base), {})
    assert roll_back(str(base))["copy_of"] == 5  # of 1, which was served before 6
    assert fingerprint(base, 7) == "a"


def test_model_that_was_taken_back_is_not_published_again(make_model, base):
    push(make_model("a"), str(base), {})
    push(make_model("b"), str(base), {})
    roll_back(str(base))
    with pytest.raises(UserError, match="taken back by conveyor rollback"):
        push(make_model("b"), str(base), {})
    assert push(make_model("a"), str(base), {})["version"] == 3  # is served already
    assert push(make_model("c"), str(base), {})["version"] == 4


def test_rollback_to_a_version_by_its_number(make_model, base):
    for name in "abc":
        push(make_model(name), str(base), {})
    assert roll_back(str(base), 1)["copy_of"] == 1
    assert fingerprint(base, 4) == "a"
    for wrong in (4, 9, -1):
        with pytest.raises(UserError, match="no such version") as caught:
            roll_back(str(base), wrong)
        assert caught.value.expected == "one of 3, 2, 1"


@pytest.mark.parametrize("make", [None, "empty", "file"])
def test_rollback_of_nothing(base, make):
    if make == "empty":
        base.mkdir(parents=True)
    elif make == "file":
        base.parent.mkdir(parents=True)
        base.write_text("a note")
    with pytest.raises(UserError, match="nothing to roll back"):
        roll_back(str(base))


def test_version_of_something_else_can_be_gone_back_to(make_model, base):
    (base / "1").mkdir(parents=True)
    (base / "1" / "saved_model.pb").write_text("by hand")
    push(make_model("a"), str(base), {})
    assert roll_back(str(base))["model"] == ""
    assert (base / "3" / "saved_model.pb").read_text() == "by hand"
