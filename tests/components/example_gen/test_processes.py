"""Ingestion in processes of their own: what it imports, and who else can open what it wrote."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from small_images import class_files, decode, encode, noise, write_files

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.pipeline.artifacts import seal

FILES = {
    **class_files(each=40, channels=3),
    "cat/grey.png": encode(noise(9, 4)),
    "dog/photo.jpg": encode(noise(8, 8, 3), "JPEG"),
    "dog/naïve 猫.png": encode(noise(6, 5, 4)),
}

INGEST = """
import json, pathlib, sys
from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.example_gen.stage import example_gen
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.stage import Context

light = [name for name in ("apache_beam", "numpy", "PIL") if name in sys.modules]
examples = Examples(pathlib.Path(sys.argv[2]))
example_gen(examples=examples, settings=ExampleGenSettings(source=sys.argv[1]), context=Context())
heavy = [name for name in ("tensorflow", "keras") if name in sys.modules]
digest = seal(examples, {"stage": "example_gen", "key": "key"})
print(json.dumps({"light": light, "heavy": heavy, "digest": digest}))
"""

OPEN = """
import json, sys
import tensorflow_datasets as tfds

builder = tfds.builder_from_directory(sys.argv[1])
label = builder.info.features["label"]
found = {}
for split in builder.info.splits:
    for example in tfds.as_numpy(builder.as_dataset(split=split)):
        pixels = example["image"]
        name = label.int2str(int(example["label"]))
        sums = pixels.astype(int).sum((0, 1)).tolist()
        found[example["id"].decode()] = [split, name, list(pixels.shape), sums]
counts = {name: split.num_examples for name, split in builder.info.splits.items()}
ours = [name for name in sys.modules if name.partition(".")[0] == "conveyor"]
print(json.dumps({"found": found, "counts": counts, "names": label.names, "ours": ours}))
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    env = {**os.environ, "PYTHONHASHSEED": "7", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    root = tmp_path_factory.mktemp("processes")
    examples = Examples(root / "examples")
    examples.path.mkdir()
    ingest(examples, ExampleGenSettings(source=f"folder:{write_files(root / 'data', FILES)}"))
    seal(examples, {"stage": "example_gen", "key": "key"})
    return examples


def test_ingestion_is_light_and_the_same_in_another_process(examples, tmp_path):
    source = write_files(tmp_path / "another place", dict(reversed(FILES.items())))
    (tmp_path / "out").mkdir()
    found = run(INGEST, f"folder:{source}", tmp_path / "out")
    assert found == {"light": [], "heavy": [], "digest": examples.digest}


def test_tfds_opens_it_without_this_package(examples):
    opened = run(OPEN, examples.dataset_dir)
    assert opened["ours"] == []
    assert opened["counts"] == examples.properties["splits"]
    assert opened["names"] == ["cat", "dog"]
    assert set(opened["found"]) == set(FILES)
    assert {split for split, *_ in opened["found"].values()} == {"train", "validation", "test"}
    for key, (_, label, shape, sums) in opened["found"].items():
        assert label == key.split("/")[0]
        pixels = decode(FILES[key])
        assert shape == [*pixels.shape[:2], 3]
        if key.endswith(".png") and pixels.shape[2:] != (4,):
            expected = np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), shape).sum((0, 1))
            assert sums == expected.tolist()
