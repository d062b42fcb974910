"""Ingestion in processes of their own: what it imports, and who else can open what it wrote."""

import json
import os
import subprocess
import sys

import numpy as np
import pycocotools.mask
import pytest
from small_images import class_files, decode, encode, noise, write_files

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.ingest import ingest
from conveyor.components.example_gen.readers.reader import open_source
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
from conveyor.components.example_gen.readers.reader import open_source
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

def look(directory):
    builder = tfds.builder_from_directory(directory)
    features, splits = builder.info.features, builder.info.splits
    found = {}
    for split in splits:
        for example in tfds.as_numpy(builder.as_dataset(split=split)):
            pixels = example["image"]
            parts = {"split": split, "shape": pixels.shape, "sums": pixels.astype(int).sum((0, 1)).tolist()}
            if "label" in example:
                parts["label"] = features["label"].int2str(int(example["label"]))
            if "objects" in example:
                parts["objects"] = {name: values.tolist() for name, values in example["objects"].items()}
                parts["objects"]["segmentation"] = [t.decode() for t in example["objects"]["segmentation"]]
            if "segmentation_mask" in example:
                parts["mask"] = example["segmentation_mask"].tolist()
            found[example["id"].decode()] = parts
    label = features["objects"].feature["label"] if "objects" in features else features["label"]
    return {
        "found": found,
        "names": label.names,
        "masks": features["segmentation_mask"].names if "segmentation_mask" in features else [],
        "counts": {name: split.num_examples for name, split in splits.items()},
        "shards": {name: len(split.shard_lengths) for name, split in splits.items()},
    }

looked = [look(directory) for directory in sys.argv[1:]]
ours = [name for name in sys.modules if name.partition(".")[0] == "conveyor"]
print(json.dumps({"looked": looked, "ours": ours}))
"""


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    env = {**os.environ, "PYTHONHASHSEED": "7", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return json.loads(done.stdout.splitlines()[-1])


def ingested(source, out):
    examples = Examples(out)
    examples.path.mkdir()
    ingest(examples, ExampleGenSettings(source=source))
    assert examples.quarantine() == []
    seal(examples, {"stage": "example_gen", "key": "key"})
    return examples


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Of each kind of source."""
    root = tmp_path_factory.mktemp("processes")
    sources = {
        "folder": f"folder:{write_files(root / 'data', FILES)}",
        "coco": f"coco:{write_files(root / 'objects', coco_files(150))}",
        "scenes": SCENES,
    }
    return {name: ingested(source, root / name) for name, source in sources.items()}


@pytest.fixture(scope="module")
def opened(examples):
    """What TFDS finds in each, in a process that never heard of this package."""
    told = run(OPEN, *(one.dataset_dir for one in examples.values()))
    assert told["ours"] == []
    return dict(zip(examples, told["looked"], strict=True))


def test_ingestion_is_light_and_the_same_in_another_process(examples, tmp_path):
    source = write_files(tmp_path / "another place", dict(reversed(FILES.items())))
    (tmp_path / "out").mkdir()
    found = run(INGEST, f"folder:{source}", tmp_path / "out")
    assert found == {"light": [], "heavy": [], "digest": examples["folder"].digest}


def test_tfds_opens_labels(examples, opened):
    opened = opened["folder"]
    assert opened["counts"] == examples["folder"].properties["splits"]
    assert opened["names"] == ["cat", "dog"]
    assert set(opened["found"]) == set(FILES)
    assert {parts["split"] for parts in opened["found"].values()} == {"train", "validation", "test"}
    for key, parts in opened["found"].items():
        assert parts["label"] == key.split("/")[0]
        pixels = decode(FILES[key])
        assert parts["shape"] == [*pixels.shape[:2], 3]
        if key.endswith(".png") and pixels.shape[2:] != (4,):
            expected = np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), parts["shape"]).sum((0, 1))
            assert parts["sums"] == expected.tolist()


# === objects and masks ===

SCENES = "digit_scenes:scenes,count=20,size=48"
BOX = [10, 5, 20, 10]  # x, y, width, height; of 40 x 20 pixels


def coco_files(count):
    """Every fourth image has no object, the others a box, one with an outline, and one of many."""
    rle = {"size": [20, 40], "counts": [0, 50, 750]}  # 2 1/2 columns from the left
    annotations = []
    for number in range(count):
        things = [{"bbox": BOX}, {"bbox": [0, 0, 3, 20], "segmentation": rle}, {"bbox": BOX, "iscrowd": 1}]
        annotations += [
            {"image_id": number, "category_id": 3 + place, **thing}
            for place, thing in enumerate(things[: number % 4])
        ]
    content = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(count)],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations)],
        "categories": [{"id": 3 + place, "name": name} for place, name in enumerate("abc")],
    }
    images = {f"images/{number}.png": encode(noise(20, 40, 3, seed=number)) for number in range(count)}
    return {**images, "all.json": json.dumps(content).encode()}


def test_tfds_opens_objects(opened):
    found = opened["coco"]
    assert (found["names"], found["masks"]) == (list("abc"), [])
    assert found["shards"]["train"] == 3
    assert len(found["found"]) == 150
    for key, example in found["found"].items():
        parts = example["objects"]
        count = int(key.split("/")[1].split(".")[0]) % 4
        # y, x, y, x of 20 rows and 40 columns.
        boxes = [[0.25, 0.25, 0.75, 0.75], [0, 0, 1, 0.075], [0.25, 0.25, 0.75, 0.75]][:count]
        np.testing.assert_allclose(np.reshape(parts["bbox"], (-1, 4)), np.reshape(boxes, (-1, 4)), rtol=1e-6)
        assert parts["label"] == [0, 1, 2][:count]
        assert parts["area"] == [200, 50, 200][:count]
        assert parts["is_crowd"] == [False, False, True][:count]
        assert parts["is_difficult"] == [False] * count
        assert [bool(text) for text in parts["segmentation"]] == [False, True, False][:count]
        if count > 1:
            drawn = pycocotools.mask.decode({"size": [20, 40], "counts": parts["segmentation"][1]})
            assert drawn.T.ravel().tolist() == [1] * 50 + [0] * 750


def test_tfds_opens_masks(opened):
    found = opened["scenes"]
    digits = [str(digit) for digit in range(10)]
    assert (found["names"], found["masks"]) == (digits, ["background", *digits])
    reader = open_source(SCENES)
    raws = {raw.key: raw for chunk in reader.chunks() for raw in reader.read(chunk)}
    assert raws.keys() == found["found"].keys()
    for key, example in found["found"].items():
        parts = example["objects"]
        np.testing.assert_array_equal(np.array(example["mask"])[..., 0], decode(raws[key].mask))
        assert example["shape"] == [48, 48, 3]
        for thing, box, area in zip(raws[key].objects, parts["bbox"], parts["area"], strict=True):
            np.testing.assert_allclose(np.array(box)[[1, 0, 3, 2]] * 48, thing.box, rtol=1e-5)
            label = parts["label"][raws[key].objects.index(thing)]
            assert (digits[label], area) == (thing.label, sum(thing.segmentation["counts"][1::2]))
