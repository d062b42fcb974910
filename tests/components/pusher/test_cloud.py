import os

import fsspec
import pytest
from etils import epath
from etils.epath import backend, gpath

from conveyor.components.evaluator.saved_model import find_saved_model
from conveyor.components.pusher.push import push, roll_back, serves
from conveyor.components.pusher.versions import PROVENANCE, fetch
from conveyor.pipeline.digest import list_files
from conveyor.pipeline.errors import UserError


@pytest.fixture
def bucket(monkeypatch):
    """Puts gs:// and s3:// into memory; returns path -> content."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)
    monkeypatch.setattr(backend._FileSystemSpecBackend, "_get_filesystem", lambda *_: memory)
    yield lambda: {path: file.getvalue() for path, file in memory.store.items()}
    memory.store.clear()


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_versions_in_a_bucket(bucket, make_model, tmp_path, monkeypatch, scheme):
    monkeypatch.chdir(tmp_path)
    base = f"{scheme}://bucket/serving/digits"
    documents = [push(make_model(name), base, {}, 5) for name in ("a", "b", "a")]
    assert [document["destination"] for document in documents] == [f"{base}/1", f"{base}/2", f"{base}/3"]
    found = {path.partition("digits/")[2]: content for path, content in bucket().items()}
    model = make_model("a")
    names = [*list_files(model.saved_model), PROVENANCE]
    assert set(found) == {f"{version}/{name}" for version in (1, 2, 3) for name in names}
    for name in list_files(model.saved_model):
        assert found[f"1/{name}"] == (model.saved_model / name).read_bytes()
    assert found["2/fingerprint.txt"] == b"b"
    assert serves(f"{base}/3", model.digest)
    assert not serves(f"{base}/2", model.digest)
    assert not serves(f"{base}/1", model.digest)  # it holds it, but is not the newest
    assert os.listdir(tmp_path) == ["models"]  # no folder named "gs:"


def test_old_versions_and_rollback_in_a_bucket(bucket, make_model):
    base = "gs://bucket/serving"
    for name in "abc":
        push(make_model(name), base, {}, keep=2)
    assert roll_back(base)["copy_of"] == 2
    found = {path.partition("serving/")[2]: content for path, content in bucket().items()}
    names = {PROVENANCE, *list_files(make_model("b").saved_model)}
    assert set(found) == {f"{version}/{name}" for version in (2, 3, 4) for name in names}
    for name in names - {PROVENANCE}:
        assert found[f"4/{name}"] == found[f"2/{name}"]


@pytest.mark.usefixtures("bucket")
def test_version_is_fetched_from_a_bucket_and_taken_from_a_disk(model, tmp_path):
    for base in ("gs://bucket/serving", str(tmp_path / "serving")):
        version = epath.Path(push(model, base, {}, 5)["destination"])
        found = fetch(version, tmp_path / "copy")
        assert (found == tmp_path / "copy") == base.startswith("gs:")
        for name in list_files(model.saved_model):
            assert (found / name).read_bytes() == (model.saved_model / name).read_bytes()


def test_newest_version_in_a_bucket_is_found(bucket, make_model):
    for name in "ab":
        push(make_model(name), "gs://bucket/serving", {}, 5)
    assert str(find_saved_model("gs://bucket/serving")) == "gs://bucket/serving/2"
    with pytest.raises(UserError):
        find_saved_model("gs://bucket/nothing")


@pytest.mark.usefixtures("bucket")
def test_bucket_that_cannot_be_reached_is_a_user_error(model, monkeypatch):
    def makedirs(*_, **__):
        raise RuntimeError("401, invalid credentials")

    monkeypatch.setattr(backend._FileSystemSpecBackend, "makedirs", makedirs)
    with pytest.raises(UserError, match=r"pusher\.to cannot be reached") as caught:
        push(model, "s3://bucket/x", {}, 5)
    assert "s3://bucket/x" in caught.value.received
    assert "401" in caught.value.received
