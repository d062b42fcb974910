import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet
import pytest

from conveyor.components import example_images
from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.records import serialize, write_record
from conveyor.components.example_images import grey, read_images
from conveyor.pipeline.errors import UserError


@pytest.fixture
def examples(tmp_path):
    """Two splits whose names are alike, of two shards and one; the image of an example is its key."""
    artifact = Examples(tmp_path)
    shards = {("train", 0): ["a", "b"], ("train", 1): ["c"], ("train-hard", 0): ["d", "e", "f"]}
    for folder in (artifact.dataset_dir, artifact.facts_dir):
        folder.mkdir()
    for (split, number), keys in shards.items():
        total = sum(name == split for name, _ in shards)
        path = artifact.dataset_dir / f"examples-{split}.tfrecord-{number:05d}-of-{total:05d}"
        with open(path, "wb") as file:
            for key in keys:
                write_record(file, serialize({"image": key.encode(), "id": key.encode(), "label": 0}))
        table = pa.table({"key": keys})
        pyarrow.parquet.write_table(table, artifact.facts_dir / f"{split}-{number:05d}.parquet")
    artifact.properties["splits"] = {"train": 3, "train-hard": 3}
    return artifact


def test_each_is_found_in_stored_order(examples):
    found = list(read_images(examples, ["f", "b", "c", "b", "d"]))
    assert found == [("b", b"b"), ("c", b"c"), ("d", b"d"), ("f", b"f")]


def test_only_shards_that_are_needed_are_read_and_once(examples, monkeypatch):
    opened = []
    read = example_images.read_records
    monkeypatch.setattr(example_images, "read_records", lambda path: opened.append(path[-24:]) or read(path))
    list(read_images(examples, ["a", "b", "e"]))
    assert len(opened) == len(set(opened)) == 2
    assert list(read_images(examples, [])) == []


def test_an_unknown_key_is_an_error(examples):
    with pytest.raises(UserError, match="no such example"):
        list(read_images(examples, ["a", "nobody"]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_is_bounded_and_keeps_the_shape(kind, mode, tmp_path):
    ramp = np.linspace(0, 255, 600, dtype=np.uint8)[None].repeat(300, 0)
    path = tmp_path / "image"
    PIL.Image.fromarray(ramp).convert(mode).save(path, kind)
    small = grey(path.read_bytes(), 100)
    assert small.shape == (50, 100)
    assert small.dtype == np.uint8
    np.testing.assert_allclose(small.mean(0), np.linspace(1, 254, 100), atol=3)
    assert grey(path.read_bytes(), 1000).shape == (300, 600)


def test_tensorflow_is_not_imported():
    code = "import json, sys, conveyor.components.example_images, conveyor.components.leaks.duplicates;"
    code += (
        "print(json.dumps([name for name in ('tensorflow', 'keras', 'apache_beam') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
