import os
import shutil

import pytest

from conveyor.pipeline.artifacts import MANIFEST, Artifact, changed_files, is_complete, read_manifest, seal

FILES = {"a.txt": b"one", "folder/b.bin": b"\0two"}
PROPERTIES = {"classes": ["cat", "dog"], "share": 0.5}


class Kind(Artifact):
    pass


class OtherKind(Artifact):
    pass


@pytest.fixture
def make(tmp_path):
    """Writes and seals an artifact in a folder of its own."""
    numbers = iter(range(100))

    def make(files=FILES, properties=PROPERTIES, kind=Kind, producer=None):
        artifact = kind(tmp_path / str(next(numbers)), dict(properties))
        for name, content in files.items():
            file = artifact.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        seal(artifact, producer or {"stage": "module:stage", "key": "k"})
        return artifact

    return make


@pytest.mark.parametrize(
    "change",
    [
        {"kind": OtherKind},
        {"properties": {**PROPERTIES, "share": 0.25}},
        {"properties": {**PROPERTIES, "more": None}},
        {"files": {**FILES, "a.txt": b"onE"}},
        {"files": {**FILES, "folder/b.bin": b"\0twO"}},
        {"files": {**FILES, "c": b""}},
        {"files": {"a.txt": b"one", "b.bin": b"\0two"}},
        {"files": {"a.txt": b"\0two", "folder/b.bin": b"one"}},
        {"files": {"a.txt": b"one"}},
    ],
    ids=str,
)
def test_digest_depends_on(make, change):
    assert make(**change).digest != make().digest


def test_digest_does_not_depend_on_order_time_or_producer(make):
    first = make()
    second = make(
        files=dict(reversed(FILES.items())),
        properties=dict(reversed(PROPERTIES.items())),
        producer={"stage": "other:stage", "key": "other"},
    )
    os.utime(second.path / "a.txt", (1, 1))
    assert seal(second, {}) == first.digest


def test_digest_of_a_copy_is_that_of_the_original(make, tmp_path):
    # a stage may copy its whole input, manifest included
    original = make()
    shutil.copytree(original.path, tmp_path / "copy")
    copy = Kind(tmp_path / "copy", dict(PROPERTIES))
    assert seal(copy, {}) == original.digest
    assert is_complete(copy.path)


def test_load_returns_what_was_sealed(make):
    artifact = make()
    loaded = Kind.load(str(artifact.path))
    assert (loaded.path, loaded.properties, loaded.digest) == (artifact.path, PROPERTIES, artifact.digest)
    assert read_manifest(artifact.path)["producer"] == {"stage": "module:stage", "key": "k"}


def test_load_of_what_is_no_artifact(tmp_path):
    with pytest.raises(FileNotFoundError):
        Kind.load(tmp_path)


def test_gate_is_a_property(make, tmp_path):
    artifact = Kind(tmp_path)
    artifact.close_gate("3 broken images", fix="remove them")
    assert artifact.properties == {"gate": {"reason": "3 broken images", "fix": "remove them"}}


def test_complete_and_unchanged(make):
    path = make().path
    assert is_complete(path)
    assert changed_files(path) == []


@pytest.mark.parametrize("name", ["a.txt", "folder/b.bin", MANIFEST])
def test_deleted_file_is_noticed(make, name):
    path = make().path
    (path / name).unlink()
    assert not is_complete(path)


@pytest.mark.parametrize("content", [b"", b"on", b"one more"])
def test_file_of_another_size_is_noticed(make, content):
    path = make().path
    (path / "a.txt").write_bytes(content)
    assert not is_complete(path)
    assert changed_files(path) == ["a.txt"]


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", '"text"', "{}", '{"files": null}', '{"files": {"a": 1}}']
)
def test_broken_manifest_is_noticed(make, text):
    path = make().path
    (path / MANIFEST).write_text(text)
    assert not is_complete(path)


def test_edit_of_the_same_size_is_noticed(make):
    path = make().path
    stat = (path / "a.txt").stat()
    (path / "a.txt").write_bytes(b"onE")
    os.utime(path / "a.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert changed_files(path) == ["a.txt"]


def test_edited_manifest_is_noticed(make):
    path = make().path
    text = (path / MANIFEST).read_text()
    (path / MANIFEST).write_text(text.replace("0.5", "0.9"))
    assert changed_files(path) == [MANIFEST]


def test_added_and_deleted_files_are_noticed(make):
    path = make().path
    (path / "added").touch()
    (path / "folder" / "b.bin").unlink()
    assert changed_files(path) == ["added", "folder/b.bin"]
