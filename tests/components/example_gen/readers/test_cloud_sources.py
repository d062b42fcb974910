"""Sources in gs:// and s3://: the same examples as from a disk, and nothing is read twice."""

import collections
import os
import pathlib
import pickle
import sys

import pytest
from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from format_samples import ARGUMENTS, files_of, image
from small_images import write_files

from conveyor.components.example_gen.readers import store
from conveyor.components.example_gen.readers.files import Listing
from conveyor.components.example_gen.readers.reader import open_source
from conveyor.pipeline.errors import UserError

MIB = 1 << 20


class Store(MemoryFileSystem):
    """An object store that counts requests."""

    cachable = False
    store: dict = {}
    pseudo_dirs = [""]

    def ls(self, path, detail=True, **kwargs):
        self.listed[path] += 1
        return super().ls(path, detail, **kwargs)

    def _open(self, path, mode="rb", **kwargs):
        if mode == "rb":
            self.opened[path] += 1
        return super()._open(path, mode, **kwargs)

    def cat_file(self, path, *args, **kwargs):
        self.opened[path] += 1
        return super().cat_file(path, *args, **kwargs)


@pytest.fixture
def bucket(monkeypatch):
    memory = Store()
    memory.store.clear()
    memory.listed, memory.opened = collections.Counter(), collections.Counter()
    monkeypatch.setattr(backend._FileSystemSpecBackend, "_get_filesystem", lambda *_: memory)
    return memory


def put(bucket, root, files):
    for name, data in files.items():
        bucket.pipe_file(f"{root}/{name}", data)


def read(source):
    """Returns classes, splits, annotations and key -> example, as a stage and its workers get them."""
    reader = open_source(source)
    known = reader.classes(), reader.splits(), reader.annotations
    worker, chunks = pickle.loads(pickle.dumps((reader, list(reader.chunks()))))  # noqa: S301
    return *known, {example.key: example for chunk in chunks for example in worker.read(chunk)}


@pytest.mark.parametrize("scheme", ["gs", "s3"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_bucket_gives_what_a_disk_gives_and_is_read_once(bucket, tmp_path, name, scheme):
    files = files_of(name)
    files["cloud/of/other/images/note.md"] = b"-"
    put(bucket, f"{scheme}://bucket/data", files)
    local = read(f"{name}:{write_files(tmp_path / 'data', files) / ARGUMENTS[name]}")
    source = f"{name}:{scheme}://bucket/data/{ARGUMENTS[name]}"
    before = open_source(source).fingerprint(tmp_path)
    assert not bucket.opened, "a fingerprint needs no content"
    assert bucket.listed, "but what the store tells of it"
    assert set(bucket.listed.values()) == {1}
    assert open_source(source).fingerprint(tmp_path) == before
    bucket.listed.clear()
    assert read(source) == local
    assert set(bucket.listed.values()) <= {1}
    assert set(bucket.opened.values()) == {1}
    read_files = {path.partition("bucket/data/")[2] for path in bucket.opened}
    assert read_files == set(files) - {"cloud/of/other/images/note.md"}


def test_masks_that_tell_the_classes_are_read_once_too(bucket):
    files = files_of("masks")
    del files["classes.txt"], files["train/masks/1_mask.png"], files["train/masks/2_mask.png"]
    put(bucket, "gs://bucket/data", files)
    classes, *_, found = read("masks:gs://bucket/data")
    assert classes == ["class_0", "class_1"]
    assert found["val/images/3.png"].mask
    assert set(bucket.opened.values()) == {1}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_fingerprint_follows_what_the_store_tells(bucket, tmp_path, name):
    files, root = files_of(name), "gs://bucket/data"
    put(bucket, root, files)

    def fingerprint():
        return open_source(f"{name}:{root}/{ARGUMENTS[name]}").fingerprint(tmp_path)

    first = fingerprint()
    put(bucket, "gs://bucket/beside", files)
    assert fingerprint() == first
    for path in files:
        bucket.pipe_file(f"{root}/{path}", files[path] + b" ")
        second = fingerprint()
        assert second != first, path
        first = second


def test_patterns_of_records(bucket):
    put(bucket, "gs://bucket/data", files_of("tfrecord"))
    assert read("tfrecord:gs://bucket/data/*-val.tfrecord")[1] == {"validation"}
    assert len(read("tfrecord:gs://bucket/d?ta/[a-b]-*.tfrecord")[3]) == 5
    with pytest.raises(UserError, match="no TFRecord files"):
        open_source("tfrecord:gs://bucket/data/*.none")


@pytest.mark.parametrize(
    "source", ["folder:gs://bucket/none", "csv:gs://bucket/none.csv", "csv:gs://bucket/data"]
)
@pytest.mark.usefixtures("bucket")
def test_what_is_not_there(bucket, source):
    put(bucket, "gs://bucket/data", files_of("csv"))
    with pytest.raises(UserError):
        open_source(source)


def test_content_that_will_not_do_is_told_when_it_is_read(bucket, tmp_path):
    put(bucket, "gs://bucket/data", files_of("coco") | {"annotations/instances_val.json": b"["})
    reader = open_source("coco:gs://bucket/data")
    reader.fingerprint(tmp_path)
    with pytest.raises(UserError, match="JSON file cannot be read") as caught:
        reader.classes()
    assert caught.value.where == "gs://bucket/data/annotations/instances_val.json"


@pytest.mark.parametrize(("scheme", "extra"), [("gs", "gcp"), ("s3", "s3")])
def test_a_package_that_is_missing(monkeypatch, scheme, extra):
    def missing(*_):
        raise ImportError("no such package")

    monkeypatch.setattr(backend._FileSystemSpecBackend, "_get_filesystem", missing)
    with pytest.raises(UserError) as caught:
        open_source(f"folder:{scheme}://bucket/data")
    assert caught.value.fix == f'pip install "conveyor[{extra}]"'


@pytest.mark.parametrize("method", ["info", "ls"])
@pytest.mark.parametrize("error", [RuntimeError("401, invalid credentials"), PermissionError("403")])
def test_a_store_that_refuses(bucket, monkeypatch, method, error):
    put(bucket, "gs://bucket/data", files_of("folder"))

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(bucket, method, refuse)
    with pytest.raises(UserError, match="object store cannot be read") as caught:
        open_source("folder:gs://bucket/data")
    assert caught.value.where == "gs://bucket/data"


def test_one_object_that_cannot_be_read_is_told_and_a_store_that_fails_ends_the_run(bucket, monkeypatch):
    put(bucket, "gs://bucket/data", files_of("folder"))
    reader = open_source("folder:gs://bucket/data")
    (chunk,) = reader.chunks()
    real, errors = Store._open, {"1.png": FileNotFoundError("gone"), "2.png": PermissionError("403")}

    def fail(self, path, *args, **kwargs):
        if found := errors.get(os.path.basename(path)):
            raise found
        return real(self, path, *args, **kwargs)

    monkeypatch.setattr(Store, "_open", fail)
    found = {example.key: (example.data is None, example.error) for example in reader.read(chunk)}
    assert found["train/cat/1.png"] == (True, "No such file or directory")
    assert found["train/cat/2.png"] == (True, "Permission denied")
    assert sum(bad for bad, _ in found.values()) == 2
    errors["5.png"] = ConnectionError("lost")
    with pytest.raises(UserError, match="object store cannot be read"):
        list(reader.read(chunk))


def test_an_object_beyond_a_limit(bucket):
    bucket.pipe_file("gs://bucket/a", b"12345")
    assert store.read_object("gs://bucket/a", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        store.read_object("gs://bucket/a", 4)


def test_objects_that_stand_for_folders_are_not_files(bucket, monkeypatch):
    def ls(path, **_):
        assert path == "gs://bucket/data"
        return [
            {"name": "bucket/data/", "size": 0, "type": "file"},
            {"name": "bucket/data", "size": 0, "type": "directory"},
            {"name": "bucket/data/cat/", "size": 0, "type": "directory"},
            {"name": "bucket/data/dog", "size": 0, "type": "directory"},
            {"name": "bucket/data/a.png", "size": 3, "type": "file", "etag": "x"},
        ]

    monkeypatch.setattr(bucket, "ls", ls)
    listing = Listing("gs://bucket/data")
    assert (set(listing.files()), listing.folders()) == ({"a.png"}, ["cat", "dog"])
    assert not listing.has("bird/a.png"), "no request for a folder that is not listed"


def test_many_at_once_keep_their_order_and_are_not_asked_too_early():
    asked = []

    def ask(number):
        asked.append(number)
        return number * 2

    answers = store.each(ask, range(100), "gs://bucket")
    assert next(answers) == 0
    assert max(asked) < 20
    assert [0, *answers] == [2 * number for number in range(100)]


def test_a_copy_is_made_once_and_again_when_the_object_changes(bucket):
    bucket.pipe_file("s3://bucket/a", bytes(3 * MIB))
    first = store.local_copy("s3://bucket/a")
    assert store.local_copy("s3://bucket/a") == first
    assert os.path.getsize(first) == 3 * MIB
    assert bucket.opened == {"s3://bucket/a": 1}
    bucket.pipe_file("s3://bucket/a", image(1))
    assert pathlib.Path(store.local_copy("s3://bucket/a")).read_bytes() == image(1)
    assert store.local_copy(first) == first
